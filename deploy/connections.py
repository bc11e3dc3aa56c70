"""Where jobs and readers find Kafka and Cassandra: as the settings file says, else locally."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from deploy.stack import StackSettings, load_settings
from deploy.stack.settings import CONFIG_FILE, CONFIG_VARIABLE
from jobs import settings as configuration
from jobs.settings import Job, Recommend


class Plan(Struct, frozen=True, kw_only=True):
    """Settings of the stack and of a job, and the job's arguments that lead to them.

    Attributes:
        stack: Of the local stack.
        settings: Of the job, with the stack's addresses where nothing else was said.
        arguments: What the job's program is called with.
    """

    stack: StackSettings
    settings: Job
    arguments: Sequence[str]


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
    sets = [*_local(stack, _tables(file, kind.__name__.lower())), *overrides]
    arguments = ["--config", str(file)] if file else []
    for one in sets:
        arguments += ["--set", one]
    settings = configuration.load(kind, file, sets)
    return Plan(stack=stack, settings=settings, arguments=arguments)


def _tables(file: Path | None, job: str) -> dict[str, dict[str, Any]]:
    """What the file says of Kafka and Cassandra; it has been read before, so it is legal."""
    table = tomllib.loads(file.read_text("utf-8")).get(job, {}) if file else {}
    return {name: table.get(name, {}) for name in ("kafka", "cassandra")}


def _local(stack: StackSettings, said: dict[str, dict[str, Any]]) -> list[str]:
    """Overrides that lead to the local stack, without those that the file contradicts."""
    sets = []
    if "bootstrap" not in said["kafka"]:
        sets.append(f"kafka.bootstrap={stack.kafka_bootstrap}")
    if not {"hosts", "port"} & set(said["cassandra"]):
        sets.append(f"cassandra.port={stack.cassandra_port}")
    if "keyspace" not in said["cassandra"]:
        sets.append(f"cassandra.keyspace={stack.keyspace}")
    return sets
