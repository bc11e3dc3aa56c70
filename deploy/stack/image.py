"""Makes an image's folders ready for Headwater; run by the Dockerfile.

``python -m deploy.stack.image flink /opt/flink``: the configuration is the local stack's own
template, so that a container and a laptop differ only in addresses, folders and sizes.
``python -m deploy.stack.image models package:…``: the weights, into HEADWATER_MODELS.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.stack import render
from deploy.stack.layout import Layout
from deploy.stack.settings import StackSettings

CONTAINER = {
    "jobmanager.rpc.address": "jobmanager",
    "jobmanager.bind-host": "0.0.0.0",
    "rest.address": "jobmanager",
    "rest.bind-address": "0.0.0.0",
    "taskmanager.bind-host": "0.0.0.0",
    "metrics.reporter.prom.port": "9249",
    "env.java.opts.jobmanager": "-XX:+UseSerialGC",
    "env.java.opts.taskmanager": "-XX:+UseG1GC",
    "io.tmp.dirs": "/tmp",
}
"""What a container has to open, the names under which the others find it, and where its log
goes: to the console."""

LAPTOP_ONLY = ("taskmanager.host", "rest.bind-port", "state.backend.rocksdb.log.dir")


def image_config(flink: Path, python: Path) -> dict[str, str]:
    """Flink's configuration for a container with one Flink process."""
    settings, layout = StackSettings(home=str(flink)), Layout(flink)
    config = render.flink_config(settings, layout, flink / "conf" / "config.yaml", python)
    return {**{key: config[key] for key in config if key not in LAPTOP_ONLY}, **CONTAINER}


def make_flink(flink: Path, python: Path) -> None:
    """Writes the configuration, makes the data folder, puts flink-python into ``lib``."""
    config = image_config(flink, python)
    text = yaml.safe_dump(config, sort_keys=False, width=10_000)
    (flink / "conf" / "config.yaml").write_text(text, "utf-8")
    jar = render.flink_python_jar(flink)
    link = flink / "lib" / jar.name
    link.unlink(missing_ok=True)
    link.symlink_to(jar)
    Layout(flink).checkpoints.mkdir(parents=True, exist_ok=True)
    Layout(flink).savepoints.mkdir(parents=True, exist_ok=True)


def bake_models(references: Sequence[str]) -> None:
    """Puts the weights of models where `udfs.models` looks for them.

    Raises:
        ModelError: One is not known here; an image has no network to fetch it later.
    """
    from udfs.errors import ModelError
    from udfs.models import locate

    for reference in references:
        found = locate(reference)
        if not found.local:
            msg = f"{reference} is not here: bake in a folder, or a package of udfs.models"
            raise ModelError(msg)
        sys.stdout.write(f"{reference}: {found.name}\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["flink", folder]:
            make_flink(Path(folder), Path(sys.executable))
        case ["models", *references]:
            bake_models(references)
        case _:
            sys.exit(__doc__)
