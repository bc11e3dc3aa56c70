"""The image's content, without Docker: the same folders, made by the Dockerfile's own commands.

What only a builder can do is left out: the base images and the installation of the locked
packages, for which this environment stands.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from deploy.stack import jars
from deploy.stack.java import find_java
from deploy.stack.layout import PROJECT
from deploy.stack.services import clean_environment, flink_home
from tests.conftest import CACHE, free_ports

DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")


class Image:
    """`root` stands for the image's `/opt`."""

    def __init__(self, root: Path) -> None:
        self.root, self.flink, self.site = root, root / "flink", root / "site-packages"
        python_path = [self.site, Path(yaml.__file__).parent.parent]
        self.env = {
            **clean_environment(),
            "JAVA_HOME": str(find_java(None)),
            "FLINK_HOME": str(self.flink),
            "FLINK_CONF_DIR": str(self.flink / "conf"),
            "HEADWATER_MODELS": str(root / "models"),
            "PYTHONPATH": os.pathsep.join(map(str, python_path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(root / "home"),
        }

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env={**self.env, **more}, cwd=self.root, capture_output=True, text=True,
            check=False, timeout=100,
        )  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    made = Image(tmp_path_factory.mktemp("opt"))
    (made.root / "home").mkdir()
    copy_flink(made.flink)
    install(made.root / "build", made.site)
    (command,) = re.findall(r"RUN python -m (deploy\.stack\.image flink) /opt/flink", DOCKERFILE)
    done = made.run(sys.executable, "-m", *command.split(), made.flink)
    assert done.returncode == 0, done.stderr
    return made


def copy_flink(flink: Path) -> None:
    """Flink's folder as its own image has it, with the connector that Maven fetched."""
    wheel = flink_home()
    for folder in ("bin", "conf"):
        shutil.copytree(wheel / folder, flink / folder)
    (flink / "plugins").symlink_to(wheel / "plugins")
    fetched = jars.ensure(CACHE, find_java(None), lambda _: None)
    shipped = {"lib": [*(wheel / "lib").glob("*.jar"), *(fetched / "flink").glob("*.jar")],
               "opt": (wheel / "opt").glob("*.jar")}  # fmt: skip
    for folder, found in shipped.items():
        (flink / folder).mkdir()
        for jar in found:
            (flink / folder / jar.name).symlink_to(jar)


def install(build: Path, site: Path) -> None:
    """The project from what the Dockerfile copies, and from nothing else."""
    build.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for line in re.findall(r"^COPY ((?!--from).*)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            place = build / target / (source if target == "./" else "")
            if (PROJECT / source).is_dir():
                shutil.copytree(PROJECT / source, place, ignore=ignored)
            elif "/" not in source:
                shutil.copyfile(PROJECT / source, place)
    command = [sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--no-build-isolation",
               "--python", sys.executable, "--target", str(site), str(build)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_packages_hold_what_the_programs_read_and_no_tests(image: Image) -> None:
    packages = {path.name for path in image.site.iterdir() if path.is_dir()}
    assert {"jobs", "operators", "udfs", "deploy"} <= packages
    assert not {"tests", "k8s"} & packages
    kept = ("deploy/schema.cql", "deploy/topics.toml", "deploy/stack/flink/config.yaml",
            "deploy/observability/rules/alerts.yaml",
            "deploy/observability/consoles/headwater.html")  # fmt: skip
    for name in kept:
        assert (image.site / name).read_bytes() == (PROJECT / name).read_bytes()


def test_flink_is_configured_for_one_process_a_container(image: Image) -> None:
    config = yaml.safe_load((image.flink / "conf" / "config.yaml").read_text())
    assert config["python.executable"] == sys.executable
    assert config["rest.address"] == "jobmanager"
    assert config["metrics.reporter.prom.port"] == "9249"
    assert len(list((image.flink / "lib").glob("flink-python-*.jar"))) == 1
    assert len(list((image.flink / "lib").glob("flink-sql-connector-kafka-*.jar"))) == 1


def test_the_command_line_runs_from_the_packages(image: Image) -> None:
    done = image.run(sys.executable, "-m", "deploy.cli", "provision", "--help")
    assert done.returncode == 0, done.stderr
    assert "--kafka" in done.stdout


@pytest.mark.flink
def test_the_jobs_client_plans_the_whole_job_and_asks_for_the_cluster(image: Image) -> None:
    """With no cluster there, it fails at the very last step: everything before has worked."""
    port = free_ports()["flink_rest_port"]
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert list(image.site.glob(f"headwater-{version}.dist-info"))
    done = image.run(
        image.flink / "bin" / "flink", "run", "-d", "-D", "rest.address=127.0.0.1",
        "-D", f"rest.port={port}", "-D", "rest.retry.max-attempts=1",
        "-D", "client.timeout=5s", "-py", image.site / "jobs" / "recommend.py",
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "effective settings of recommend" in told
    assert re.search(rf"Connection refused.*{port}", told), told[-3000:]
    assert "ClassNotFound" not in told


@pytest.mark.flink
def test_a_model_that_is_not_here_ends_the_build(image: Image) -> None:
    for given, told in (("package:none", "Unknown model"), ("some/hub-model", "is not here")):
        done = image.run(sys.executable, "-m", "deploy.stack.image", "models", given)
        assert done.returncode != 0
        assert told in done.stderr
    assert image.run(sys.executable, "-m", "deploy.stack.image", "models").returncode == 0
