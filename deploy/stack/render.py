"""Fills the configuration templates of Kafka and Flink in from the settings.

Cassandra needs no template: its ports and folders are system properties (see ``services``); only
what a secure stack adds is put into its YAML.
"""

import hashlib
import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.stack import secrets
from deploy.stack.errors import ServiceError
from deploy.stack.layout import PACKAGE, Layout
from deploy.stack.settings import StackSettings

MANAGED_FRACTION = {"rocksdb": "0.4", "hashmap": "0.15"}
"""Share of Flink's memory outside the heap: RocksDB lives there, heap state does not."""


def fill(template: Path, values: Mapping[str, object]) -> str:
    """Replaces every ``$name`` of a template.

    Raises:
        ServiceError: The template asks for a name that has no value.
    """
    try:
        return string.Template(template.read_text("utf-8")).substitute(values)
    except (KeyError, ValueError) as error:
        msg = f"template {template}: no value for {error}: restore the file"
        raise ServiceError(msg) from error


def kafka_properties(settings: StackSettings, layout: Layout) -> str:
    """The broker's ``server.properties``."""
    secure = secrets.is_secure(layout)
    values: dict[str, object] = {
        "port": settings.kafka_port,
        "controller_port": settings.port("kafka_controller_port"),
        "data": layout.data / "kafka",
        "protocol": "SASL_SSL" if secure else "PLAINTEXT",
        "controller_protocol": "SSL" if secure else "PLAINTEXT",
    }
    text = fill(PACKAGE / "kafka" / "server.properties", values)
    if not secure:
        return text
    values = {
        "secrets": layout.secrets,
        "admin": secrets.ADMIN,
        "name": secrets.DISTINGUISHED_NAME,
        "keystore_password": (layout.secrets / "keystore.password").read_text("utf-8"),
        "admin_password": (layout.secrets / f"{secrets.ADMIN}.password").read_text("utf-8"),
    }
    return text + fill(PACKAGE / "kafka" / "secure.properties", values)


def cassandra_config(layout: Layout) -> str:
    """Cassandra's YAML: the shipped one, and on a secure stack passwords, rights and TLS too."""
    text = (PACKAGE / "cassandra" / "cassandra.yaml").read_text("utf-8")
    if not secrets.is_secure(layout):
        return text
    config = yaml.safe_load(text)
    keystore = layout.secrets / "server.p12"
    config["authenticator"], config["authorizer"] = "PasswordAuthenticator", "CassandraAuthorizer"
    config["client_encryption_options"] = {
        "enabled": True,
        "optional": False,
        "keystore": str(keystore),
        "keystore_password": (layout.secrets / "keystore.password").read_text("utf-8"),
        "store_type": "PKCS12",
        "require_client_auth": False,
    }
    return yaml.safe_dump(config, sort_keys=False)


def flink_config(
    settings: StackSettings, layout: Layout, wheel_conf: Path, python: Path
) -> dict[str, str]:
    """Flink's ``config.yaml`` as flat keys.

    Args:
        settings: Ports, memory, checkpoints, state backend.
        layout: Folders.
        wheel_conf: The ``config.yaml`` that the Flink distribution brings; its JVM options stay.
        python: Interpreter of the jobs' Python.
    """
    tmp = layout.service_tmp("flink")
    values = {
        "rest_port": settings.flink_rest_port,
        "rpc_port": settings.port("flink_rpc_port"),
        "jobmanager_memory": settings.jobmanager_memory,
        "taskmanager_memory": settings.taskmanager_memory,
        "python_memory": settings.taskmanager_python_memory,
        "managed_fraction": MANAGED_FRACTION[settings.state_backend],
        "python": python,
        "state_backend": settings.state_backend,
        "checkpoint_interval_s": settings.checkpoint_interval_s,
        "rocksdb_logs": layout.logs("rocksdb"),
        "checkpoints": layout.checkpoints.as_uri(),
        "savepoints": layout.savepoints.as_uri(),
        "tmp": tmp,
        # A log file each, so the console only gets what no logger caught.
        "java_options": f"-Djava.io.tmpdir={tmp} -Dconsole.log.level=OFF",
    }
    config = yaml.safe_load(fill(PACKAGE / "flink" / "config.yaml", values))
    if options := settings.taskmanager_java_options:  # their text may be no YAML
        config["env.java.opts.taskmanager"] += f" {options}"
    shipped = flatten(yaml.safe_load(wheel_conf.read_text("utf-8")))
    doors = {"env.java.opts.all": shipped["env.java.opts.all"]}
    return flatten({**doors, **config, **_reporter(settings)})


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested or dotted YAML keys as dotted ones, values as Flink writes them.

    >>> flatten({"a": {"b": True}, "c.d": 1})
    {'a.b': 'true', 'c.d': '1'}
    """
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            text = str(value)
            flat[f"{prefix}{key}"] = text.lower() if isinstance(value, bool) else text
    return flat


def _reporter(settings: StackSettings) -> dict[str, str]:
    if not settings.metrics:
        return {}
    # The port is an argument of each process, so that it is known before the process runs.
    return {
        "metrics.reporters": "prom",
        "metrics.reporter.prom.factory.class": (
            "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
        ),
        "metrics.reporter.prom.filter.excludes": ";".join(UNREPORTED),
    }


UNREPORTED = (
    "*.KafkaConsumer*",
    "*.KafkaProducer*",
    "*.Shuffle*",
    "*.split*",
    "taskmanager.job.task.operator:current*Watermark,numBytes*,*PerSecond",
)
"""Metrics that no dashboard or alert asks for, in the reporter's form of scope and names: Kafka's
clients from within, buffers, and what of an operator is zero or that of its task. Each of some
hundred operators has them under all its names: without these a page of `recommend` is half as long,
which is written and read anew at each question."""


def write_flink(config: Mapping[str, str], layout: Layout, wheel_conf_folder: Path) -> None:
    """Writes Flink's configuration folder: ours plus the wheel's log settings."""
    folder = layout.conf / "flink"
    folder.mkdir(parents=True, exist_ok=True)
    for log_settings in wheel_conf_folder.glob("log4j*.properties"):
        if not (folder / log_settings.name).is_file():
            shutil.copyfile(log_settings, folder / log_settings.name)
    fresh = folder / "config.yaml.new"
    fresh.write_text(yaml.safe_dump(dict(config), sort_keys=False, width=10_000), "utf-8")
    fresh.replace(folder / "config.yaml")


def flink_python_jar(flink: Path) -> Path:
    """The jar of PyFlink's Java side, which a Flink distribution keeps outside ``lib``.

    It has to be in ``lib``: loaded with each job instead, the second thread-mode job of a
    TaskManager fails on Java 17 (``NoSuchFieldException: loadedLibraryNames``).

    Raises:
        ServiceError: There is not exactly one.
    """
    found = list((flink / "opt").glob("flink-python-*.jar"))
    if len(found) != 1:
        msg = f"{flink / 'opt'} has {len(found)} flink-python jars, needed is one: reinstall Flink"
        raise ServiceError(msg)
    return found[0]


def link_flink_jars(layout: Layout, wheel: Path, jars: Path) -> None:
    """Makes Flink's ``lib``: links to the wheel's jars, flink-python and the connector."""
    connectors = (jars / "flink").glob("*.jar")
    wanted = [*(wheel / "lib").glob("*.jar"), flink_python_jar(wheel), *connectors]
    layout.lib.mkdir(parents=True, exist_ok=True)
    links = {layout.lib / jar.name: jar for jar in wanted}
    # Only what differs is touched: a running JVM opens some of its jars late.
    for link in layout.lib.iterdir():
        if link not in links or link.readlink() != links[link]:
            link.unlink()
    for link, jar in links.items():
        if not link.is_symlink():
            link.symlink_to(jar)


def digest(*parts: object) -> str:
    """Short fingerprint of a configuration, to tell whether a service runs the present one."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
