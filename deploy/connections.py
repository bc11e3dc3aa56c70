"""Where jobs and readers find Kafka and Cassandra: as the settings file says, else locally."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.stack import StackSettings, load_settings, secrets
from deploy.stack.layout import Layout
from deploy.stack.secrets import Login
from deploy.stack.settings import CONFIG_FILE, CONFIG_VARIABLE
from jobs import settings as configuration
from jobs.settings import Cassandra, Job, Kafka, Recommend


class Plan(Struct, frozen=True, kw_only=True):
    """Settings of the stack and of a job, and the job's arguments that lead to them.

    Attributes:
        stack: Of the local stack.
        settings: Of the job, with the stack's addresses where nothing else was said.
        arguments: What the job's program is called with.
        kafka: The command line's own way to Kafka: with the rights of an operator.
        cassandra: The same to Cassandra.
    """

    stack: StackSettings
    settings: Job
    arguments: Sequence[str]
    kafka: Kafka
    cassandra: Cassandra


class Operator(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[operator]`: who the command line is, where that is not the job itself.

    Attributes:
        user: Name in Kafka and role in Cassandra.
        password_file: File of its password.
    """

    user: str
    password_file: str


def settings_file(config: Path | None) -> Path | None:
    """The settings file in use: the given one, the environment's, the current folder's, or none."""
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def plan(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    kind: type[Job] = Recommend,
) -> Plan:
    """Join the stack's addresses, the file, and the overrides; what comes later wins.

    Args:
        config: Settings file, as in `settings_file`.
        overrides: `key=value`, as a job's `--set` takes them.
        kind: Settings of the job.

    Raises:
        HeadwaterError: Something in them is not legal.
    """
    stack, file = load_settings(config), settings_file(config)
    configuration.load(kind, file)
    name = kind.__name__.lower()
    sets = [*_local(stack, name, _tables(file, name)), *overrides]
    arguments = ["--config", str(file)] if file else []
    for one in sets:
        arguments += ["--set", one]
    settings = configuration.load(kind, file, sets)
    access = _operator(stack, file)
    return Plan(
        stack=stack, settings=settings, arguments=arguments,
        kafka=msgspec.structs.replace(settings.kafka, **access),
        cassandra=msgspec.structs.replace(settings.cassandra, **access),
    )  # fmt: skip


def _operator(stack: StackSettings, file: Path | None) -> dict[str, str]:
    """Who the command line logs in as: the file's, a secure stack's, or the job itself."""
    table = tomllib.loads(file.read_text("utf-8")).get("operator") if file else None
    if table is not None:
        try:
            return msgspec.structs.asdict(msgspec.convert(table, Operator))
        except msgspec.ValidationError as error:
            msg = f"settings [operator]: {error}; legal are user and password_file"
            raise HeadwaterError(msg) from error
    login = secrets.login(Layout(stack.home_path), "operator")
    return {"user": login.user, "password_file": str(login.password_file)} if login else {}


def _tables(file: Path | None, job: str) -> dict[str, dict[str, Any]]:
    """What the file says of Kafka and Cassandra; it has been read before, so it is legal."""
    table = tomllib.loads(file.read_text("utf-8")).get(job, {}) if file else {}
    return {name: table.get(name, {}) for name in ("kafka", "cassandra")}


def _login(table: str, login: Login | None, said: dict[str, Any]) -> list[str]:
    """Overrides that open a secure stack to a job."""
    if login is None or "user" in said:
        return []
    return [
        f"{table}.user={login.user}",
        f"{table}.password_file={login.password_file}",
        f"{table}.tls_ca={login.tls_ca}",
    ]


def _local(stack: StackSettings, job: str, said: dict[str, dict[str, Any]]) -> list[str]:
    """Overrides that lead to the local stack, without those that the file contradicts."""
    sets = []
    login = secrets.login(Layout(stack.home_path), job)
    if "bootstrap" not in said["kafka"]:
        sets.append(f"kafka.bootstrap={stack.kafka_bootstrap}")
        sets += _login("kafka", login, said["kafka"])
    if not {"hosts", "port"} & set(said["cassandra"]):
        sets.append(f"cassandra.port={stack.cassandra_port}")
        sets += _login("cassandra", login, said["cassandra"])
    if "keyspace" not in said["cassandra"]:
        sets.append(f"cassandra.keyspace={stack.keyspace}")
    return sets
