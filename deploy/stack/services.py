"""The kinds of service: what each is started with, and the environment of Flink's scripts."""

import base64
import ctypes.util
import importlib.util
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.stack import render
from deploy.stack.errors import ServiceError
from deploy.stack.layout import PACKAGE, PROJECT, Layout
from deploy.stack.settings import StackSettings
from operators.flink.cores import STAGE_CORE

KAFKA, CASSANDRA, JOBMANAGER = "kafka", "cassandra", "jobmanager"
TASKMANAGER = "taskmanager-"
PROMETHEUS = "prometheus"

TASKMANAGER_LIBRARIES = {
    "jemalloc": ("libjemalloc2", "which takes less CPU"),
    "eatmydata": ("libeatmydata1", "so that stages do not wait for the disk at a checkpoint"),
}
"""What a TaskManager loads where the machine has it: its Debian package, its gain.

jemalloc, as Flink's own images do: the stages make and drop arrays all the time. eatmydata leaves
out `fsync`: RocksDB waits for the disk at every table it writes, some two hundred times a
checkpoint, though Flink never uses these files again once their process is gone. Nothing else of a
TaskManager waits for the disk: what it writes of a checkpoint is left to the system, as it is
without."""


class Launch(NamedTuple):
    """How to start a service.

    Attributes:
        service: Its name.
        command: Absolute program and arguments.
        env: Its whole environment.
        config: Fingerprint of what it is started with.
        resource_id: Name under which a TaskManager registers.
    """

    service: str
    command: list[str]
    env: dict[str, str]
    config: str
    resource_id: str = ""


class Tools(NamedTuple):
    """What the services are made of.

    Attributes:
        java_home: Java 17.
        jars: Folder of the fetched jars.
        flink: Flink's home: the ``pyflink`` folder of the wheel.
        python: Interpreter for the jobs.
    """

    java_home: Path
    jars: Path
    flink: Path
    python: Path

    @property
    def java(self) -> str:
        """The ``java`` program."""
        return str(self.java_home / "bin" / "java")


def flink_home() -> Path:
    """Folder of the Flink distribution inside the installed wheel, found without importing it.

    Raises:
        ServiceError: apache-flink is not installed.
    """
    spec = importlib.util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        msg = f"apache-flink is not installed for {sys.executable}: run make install"
        raise ServiceError(msg)
    return Path(spec.origin).parent


def is_flink(service: str) -> bool:
    """Whether a service is one of Flink's processes."""
    return service == JOBMANAGER or service.startswith(TASKMANAGER)


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would bend Flink's scripts, Java or Python.

    `PYTHONDONTWRITEBYTECODE`, which containers often set, is among it: a worker with models would
    compile torch and all else from their sources at each start, 12 of 32 s of CPU.
    """
    foreign = (
        "FLINK_", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "JVM_ARGS", "HADOOP_",
        "CLASSPATH", "LOG_DIR",
    )  # fmt: skip
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


QUICK = "-XX:TieredStopAtLevel=1"
"""No second compiler: a stack that lives for minutes does not earn back what it costs. Up and a
submission take 49 s of CPU with this and 68 without, where load costs more for two minutes too;
from then on 1,000 events take Kafka .07 s of CPU there and not .10, Cassandra .12 and not .19."""


def flink_environment(layout: Layout, tools: Tools, log: str = "client") -> dict[str, str]:
    """Environment for every script of ``$FLINK_HOME/bin``.

    ``PYTHONPATH`` names site-packages because an interpreter inside the JVM looks nowhere else
    (``No module named 'pemja'``), and the project because it does not read ``.pth`` files, which
    is how an editable install is found.
    """
    logs, tmp = layout.logs(log), layout.service_tmp("flink")
    logs.mkdir(parents=True, exist_ok=True)
    tmp.mkdir(parents=True, exist_ok=True)
    python_path = dict.fromkeys([str(tools.flink.parent), str(PROJECT)])
    return {
        **clean_environment(),
        "JAVA_HOME": str(tools.java_home),
        "FLINK_HOME": str(tools.flink),
        "FLINK_CONF_DIR": str(layout.conf / "flink"),
        "FLINK_LIB_DIR": str(layout.lib),
        "FLINK_LOG_DIR": str(logs),
        "FLINK_PID_DIR": str(layout.service_tmp("flink-pids")),
        "FLINK_IDENT_STRING": "headwater",
        "PYTHONPATH": os.pathsep.join(python_path),
        "PATH": os.pathsep.join([str(tools.python.parent), os.environ.get("PATH", os.defpath)]),
        "TMPDIR": str(tmp),
        # numpy's own threads would wait for each other where every core has work already; torch
        # has threads of its own.
        "OPENBLAS_NUM_THREADS": "1",
    }


def _java_options(service: str, layout: Layout, heap: str, *, lasting: bool) -> list[str]:
    tmp = layout.service_tmp(service)
    tmp.mkdir(parents=True, exist_ok=True)
    layout.logs(service).mkdir(parents=True, exist_ok=True)
    return [
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        *([] if lasting else [QUICK]),
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={layout.logs(service)}/crash-%p.log",
        f"-Djava.io.tmpdir={tmp}",
        f"-Dheadwater.log={layout.logs(service)}/{service}.log",
        "-Djava.net.preferIPv4Stack=true",
    ]


def kafka(settings: StackSettings, layout: Layout, tools: Tools) -> Launch:
    """The broker; a new data folder needs ``format_kafka`` first."""
    text = render.kafka_properties(settings, layout)
    properties = layout.conf / "server.properties"
    _write_private(properties, text)
    command = [
        tools.java,
        *_java_options(KAFKA, layout, settings.kafka_heap, lasting=settings.lasting),
        f"-Dlog4j2.configurationFile=file:{PACKAGE}/kafka/log4j2.properties",
        "-cp",
        f"{tools.jars}/kafka/*",
        "kafka.Kafka",
        str(properties),
    ]
    return Launch(KAFKA, command, clean_environment(), render.digest(command, text))


def _write_private(path: Path, text: str) -> None:
    """For the owner alone: on a secure stack it holds passwords."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, "utf-8")


def format_kafka(launch: Launch, layout: Layout) -> None:
    """Gives a new data folder its cluster id; does nothing to one that has it.

    Raises:
        ServiceError: Kafka's storage tool failed; the message quotes it.
    """
    if (layout.data / "kafka" / "meta.properties").is_file():
        return
    *java, _, properties = launch.command
    # Kafka's ids are 16 bytes in URL-safe base64 without padding, and do not start with a dash.
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*java, "kafka.tools.StorageTool", "format", "--config", properties]
    command.append(f"--cluster-id={cluster_id.replace('-', '_')}")
    told = subprocess.run(command, env=launch.env, capture_output=True, text=True, check=False)
    if told.returncode:
        msg = f"Kafka could not format its data folder: {told.stdout}{told.stderr}".strip()
        raise ServiceError(msg)


_LATE_TIMERS = (
    "/bin/sh", "-c", 'echo 1000000 2>/dev/null >/proc/self/timerslack_ns; exec "$0" "$@"',
)  # fmt: skip
"""Starts what follows with timers that may be a millisecond late.

A worker of Cassandra that has nothing to do looks for work every 10 us until nothing came for 10 ms
(SEPWorker.doWaitSpin), so that 40 requests a second kept .3 of a core busy. With late timers they
take .06, and no longer: work that comes wakes a worker by itself.
"""


def cassandra(settings: StackSettings, layout: Layout, tools: Tools) -> Launch:
    """The one Cassandra node. No JMX: it would open ports, and CQL's system_views tell the same."""
    agent = next((tools.jars / "cassandra").glob("jamm-*.jar"), None)
    if agent is None:
        msg = f"no jamm jar in {tools.jars / 'cassandra'}: run down --wipe-cache, then up"
        raise ServiceError(msg)
    config = layout.conf / "cassandra.yaml"
    _write_private(config, render.cassandra_config(layout))
    properties = {
        "logback.configurationFile": PACKAGE / "cassandra" / "logback.xml",
        "cassandra.config": config.as_uri(),
        "cassandra.storagedir": layout.data / "cassandra",
        "cassandra.config.allow_system_properties": "true",
        "cassandra.settings.native_transport_port": settings.cassandra_port,
        "cassandra.settings.storage_port": settings.port("cassandra_storage_port"),
        "cassandra-foreground": "true",
        # A lone node has nobody to wait for.
        "cassandra.ring_delay_ms": 100,
        "cassandra.skip_wait_for_gossip_to_settle": 0,
        "cassandra.shutdown_announce_in_ms": 0,
        "cassandra.superuser_setup_delay_ms": 0,
    }
    command = [
        *_LATE_TIMERS,
        tools.java,
        f"@{PACKAGE}/cassandra/jvm17.args",
        f"-javaagent:{agent}",
        *_java_options(CASSANDRA, layout, settings.cassandra_heap, lasting=settings.lasting),
        "-Xss512k",
        *(f"-D{key}={value}" for key, value in properties.items()),
        "-cp",
        f"{tools.jars}/cassandra/*",
        "org.apache.cassandra.service.CassandraDaemon",
    ]
    (layout.data / "cassandra").mkdir(parents=True, exist_ok=True)
    return Launch(
        CASSANDRA, command, clean_environment(), render.digest(command, config.read_bytes())
    )


def prepare_flink(settings: StackSettings, layout: Layout, tools: Tools) -> str:
    """Writes Flink's configuration and ``lib``; returns the fingerprint of both."""
    wheel_conf = tools.flink / "conf"
    config = render.flink_config(settings, layout, wheel_conf / "config.yaml", tools.python)
    # RocksDB does not make its log folder, and without one writes beside the state.
    layout.logs("rocksdb").mkdir(parents=True, exist_ok=True)
    render.write_flink(config, layout, wheel_conf)
    render.link_flink_jars(layout, tools.flink, tools.jars)
    return render.digest(config, tools.jars.name)


def stage_core(number: int, cores: Sequence[int]) -> int | None:
    """A core for the stages of each TaskManager in turn; none where there is no choice."""
    return cores[(number - 1) % len(cores)] if len(cores) > 1 else None


def cores_beside(taskmanagers: int, cores: Sequence[int]) -> set[int]:
    """The cores that no stage is kept to; none where each has one, or there is no choice."""
    stages = {stage_core(number + 1, cores) for number in range(taskmanagers)}
    return set() if stages == {None} else set(cores) - stages


def library(name: str) -> str | None:
    """A shared library, if the machine has it."""
    return ctypes.util.find_library(name)


def with_libraries(env: Mapping[str, str]) -> dict[str, str]:
    """The variable that loads `TASKMANAGER_LIBRARIES` before all else, beside what it loaded."""
    loaded = env.get("LD_PRELOAD", "")
    missing = [name for name in TASKMANAGER_LIBRARIES if name not in loaded]
    paths = [loaded, *map(library, missing)]
    return {"LD_PRELOAD": ":".join(path for path in paths if path)}


def own_cores() -> list[int]:
    """The cores that this process may use, in order; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def flink_process(
    service: str, config: str, settings: StackSettings, layout: Layout, tools: Tools
) -> Launch:
    """The JobManager, or one TaskManager with a name of its own for this start."""
    env = flink_environment(layout, tools, service)
    script = "jobmanager.sh" if service == JOBMANAGER else "taskmanager.sh"
    command = [str(tools.flink / "bin" / script), "start-foreground"]
    if port := settings.metrics_port(service):
        command += ["-D", f"metrics.reporter.prom.port={port}"]
    resource_id = ""
    if service != JOBMANAGER:
        core = stage_core(int(service.removeprefix(TASKMANAGER)), own_cores())
        env |= {} if core is None else {STAGE_CORE: str(core)}
        env |= with_libraries(env)
        resource_id = f"{service}-{uuid.uuid4().hex[:8]}"
        command += ["-D", f"taskmanager.resource-id={resource_id}"]
    return Launch(service, command, env, config, resource_id)
