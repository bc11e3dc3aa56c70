"""Settings of the local stack: one typed struct, filled from a TOML file and the environment.

The file is ``headwater.toml`` in the current folder (or the path in ``HEADWATER_CONFIG``), table
``[stack]``; a variable ``HEADWATER_STACK_KAFKA_PORT`` overrides the file's ``kafka_port``. A key
that is not a field below is refused with the nearest legal one.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from deploy.stack.errors import SettingsError

ENV_PREFIX = "HEADWATER_STACK_"
CONFIG_VARIABLE = "HEADWATER_CONFIG"
CONFIG_FILE = "headwater.toml"
HOST = "127.0.0.1"
MAX_TASKMANAGERS = 15

Port = Annotated[int, msgspec.Meta(ge=1024, le=65535)]
Memory = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]*[mg]$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class PortUse(NamedTuple):
    """A port of the stack, and the setting that moves it."""

    service: str
    setting: str
    number: int


class StackSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about the local stack that a person may want to change.

    Ports left at ``None`` follow their service's main port at the distance of the well-known
    numbers, so ``kafka_port = 19092`` also moves the controller to 19093.

    Attributes:
        home: Folder of data, logs, process records and jars; relative to the current folder.
        cache: Folder of the fetched jars; ``None`` means ``<home>/cache``.
        java_home: A Java 17; ``None`` means ``$JAVA_HOME``, then ``java`` on the path.
        kafka_port: Kafka's listener for clients.
        kafka_controller_port: KRaft's controller (9093).
        kafka_heap: Maximum heap of the broker.
        event_partitions: Partitions of ``headwater.events``; ``None`` means what topics.toml says.
        cassandra_port: CQL.
        cassandra_storage_port: Cassandra's own internode port (7000).
        cassandra_heap: Maximum heap of Cassandra.
        keyspace: Keyspace of the tables.
        vector_dimensions: Length of an item's vector; fixed once the table exists.
        flink_rest_port: Flink's REST interface and web page.
        flink_rpc_port: JobManager's RPC (6123).
        metrics: Whether Flink's Prometheus reporters run. They know no bind address: these ports,
            unlike all others, listen on every interface.
        flink_metrics_port: The JobManager's reporter (9249); TaskManager n has the nth port after.
        prometheus: Whether Prometheus watches the stack, if the machine has it and Flink reports.
        prometheus_port: Its page (9095); Debian starts a Prometheus of its own on 9090.
        taskmanagers: TaskManagers that ``up`` starts, one slot each.
        jobmanager_memory: Total memory of the JobManager process.
        taskmanager_memory: Total memory of one TaskManager process, Python included.
        taskmanager_python_memory: Part of it kept for Python, which in thread mode lives in the
            JVM's process but outside every pool that Flink knows.
        taskmanager_java_options: More options for the Java of TaskManagers, such as `-Xlog:gc`.
        state_backend: ``rocksdb`` keeps state on disk, ``hashmap`` on the heap.
        checkpoint_interval_s: Seconds between two checkpoints: events up to so old are worked on
            once more after a crash. At each, all stages stand still together for some 200 ms: with
            one every 10 s, lists of 220 events a second were up to 1.2 and 1.3 s old instead of .9
            and 1.1 s (p99 of 90 s, two pairs), at 3 and 5 % more CPU.
        lasting: Whether Kafka and Cassandra compile as servers do. Two minutes of load later they
            take a third less CPU; until then, and to start, they take more.
        start_timeout_s: Seconds a service may take to become ready.
        stop_timeout_s: Seconds a service may take to stop by itself before it is killed.
    """

    home: str = ".headwater"
    cache: str | None = None
    java_home: str | None = None

    kafka_port: Port = 9092
    kafka_controller_port: Port | None = None
    kafka_heap: Memory = "512m"
    event_partitions: Positive | None = None

    cassandra_port: Port = 9042
    cassandra_storage_port: Port | None = None
    cassandra_heap: Memory = "1g"
    keyspace: Name = "headwater"
    vector_dimensions: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 384

    flink_rest_port: Port = 8081
    flink_rpc_port: Port | None = None
    metrics: bool = True
    flink_metrics_port: Port | None = None
    prometheus: bool = True
    prometheus_port: Port | None = None
    taskmanagers: Annotated[int, msgspec.Meta(ge=0, le=MAX_TASKMANAGERS)] = 1
    jobmanager_memory: Memory = "1024m"
    taskmanager_memory: Memory = "2600m"
    taskmanager_python_memory: Memory = "768m"
    taskmanager_java_options: str = ""
    state_backend: Literal["rocksdb", "hashmap"] = "rocksdb"
    checkpoint_interval_s: Positive = 30

    lasting: bool = False
    start_timeout_s: Positive = 180
    stop_timeout_s: Positive = 20

    def __post_init__(self) -> None:
        """Refuses two services on one port.

        Raises:
            ValueError: Two settings name the same port, or a derived one is out of range.
        """
        seen: dict[int, str] = {}
        for use in self.ports():
            if not 1024 <= use.number <= 65535:
                msg = f"{use.setting} would be {use.number}, legal is 1024 to 65535: set it"
                raise ValueError(msg)
            if other := seen.get(use.number):
                msg = f"{other} and {use.setting} are both {use.number}: change one of them"
                raise ValueError(msg)
            seen[use.number] = use.setting

    def ports(self) -> list[PortUse]:
        """Every port that a service of the stack would listen on, up to the last TaskManager's."""
        kafka, cassandra = self.kafka_port, self.cassandra_port
        controller = self.kafka_controller_port or kafka + 1
        storage = self.cassandra_storage_port or cassandra - 9042 + 7000
        rpc = self.flink_rpc_port or self.flink_rest_port - 8081 + 6123
        page = self.prometheus_port or self.flink_rest_port - 8081 + 9095
        return [
            PortUse("kafka", "kafka_port", kafka),
            PortUse("kafka", "kafka_controller_port", controller),
            PortUse("cassandra", "cassandra_port", cassandra),
            PortUse("cassandra", "cassandra_storage_port", storage),
            PortUse("jobmanager", "flink_rest_port", self.flink_rest_port),
            PortUse("jobmanager", "flink_rpc_port", rpc),
            *(self._metrics_ports() if self.metrics else ()),
            *([PortUse("prometheus", "prometheus_port", page)] if self.watches else ()),
        ]

    def _metrics_ports(self) -> list[PortUse]:
        first = self.flink_metrics_port or self.flink_rest_port - 8081 + 9249
        services = ["jobmanager", *(f"taskmanager-{n}" for n in range(1, MAX_TASKMANAGERS + 1))]
        return [
            PortUse(name, "flink_metrics_port", first + step) for step, name in enumerate(services)
        ]

    def port(self, setting: str) -> int:
        """The number behind one of the ``*_port`` settings, derived or given."""
        return next(use.number for use in self.ports() if use.setting == setting)

    @property
    def watches(self) -> bool:
        """Whether Prometheus is asked for and there is something to see."""
        return self.prometheus and self.metrics

    @property
    def kafka_bootstrap(self) -> str:
        """Kafka's address for clients."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def flink_rest_url(self) -> str:
        """Flink's REST interface and web page."""
        return f"http://{HOST}:{self.flink_rest_port}"

    def metrics_port(self, service: str) -> int | None:
        """Port of a Flink process's metrics, ``None`` if there are none."""
        uses = (use for use in self.ports() if use.setting == "flink_metrics_port")
        return next((use.number for use in uses if use.service == service), None)

    @property
    def home_path(self) -> Path:
        """Absolute path of ``home``."""
        return Path(self.home).expanduser().absolute()

    @property
    def cache_path(self) -> Path:
        """Absolute path of the folder with the fetched jars."""
        return Path(self.cache).expanduser().absolute() if self.cache else self.home_path / "cache"


def memory_mb(size: str) -> int:
    """Megabytes in a size such as ``512m`` or ``1g``."""
    return int(size[:-1]) * (1024 if size.endswith("g") else 1)


def load_settings(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> StackSettings:
    """Reads the settings: defaults, then the file's ``[stack]``, then the environment.

    Args:
        path: The TOML file; ``None`` means ``$HEADWATER_CONFIG``, then ``headwater.toml`` in the
            current folder if there is one.
        environ: The environment; ``None`` means the process's own.

    Raises:
        SettingsError: The file is missing or no TOML, or a key or a value is not legal.
    """
    environ = os.environ if environ is None else environ
    values = dict(_from_file(path, environ))
    where = {key: f"{key} in the [stack] table" for key in values}
    for variable, text in environ.items():
        if variable.startswith(ENV_PREFIX):
            key = variable.removeprefix(ENV_PREFIX).lower()
            values[key], where[key] = text, variable
    for key in values:
        _known(key, where[key])
    try:
        return msgspec.convert(values, StackSettings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_located(str(error), values, where)) from error


def _from_file(path: Path | None, environ: Mapping[str, str]) -> Mapping[str, Any]:
    given = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    file = given or Path(CONFIG_FILE)
    if not file.is_file():
        if given is None:
            return {}
        msg = f"settings file {file} does not exist: create it, or name another one"
        raise SettingsError(msg)
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("stack", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"settings file {file} is not TOML: {error}"
        raise SettingsError(msg) from error
    if not isinstance(table, dict):
        msg = f"settings file {file}: `stack` has to be a table, [stack]"
        raise SettingsError(msg)
    return table


def _known(key: str, where: str) -> None:
    fields = StackSettings.__struct_fields__
    if key in fields:
        return
    near = difflib.get_close_matches(key, fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"legal are {', '.join(fields)}"
    msg = f"unknown setting {where}: {hint}"
    raise SettingsError(msg)


def _located(text: str, values: Mapping[str, Any], where: Mapping[str, str]) -> str:
    """Names the file's key or the variable behind msgspec's ``- at `$.key```."""
    match = re.search(r" - at `\$\.(\w+)`$", text)
    if match is None:
        return f"settings: {text}"
    key = match[1]
    return f"setting {where[key]} is {values[key]!r}: {text.removesuffix(match[0])}"
