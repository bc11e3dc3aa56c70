"""Reads ``deploy/topics.toml`` and makes a Kafka agree with it, as often as it is called."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.stack.errors import ServiceError, SettingsError
from deploy.stack.layout import PACKAGE

TOPICS_FILE = PACKAGE.parent / "topics.toml"
EVENTS = "headwater.events"
TIMEOUT_S = 20.0


class Topic(NamedTuple):
    """A topic as it should be.

    Attributes:
        name: Its name.
        partitions: Number of partitions at its creation.
        config: Kafka's topic settings, as text.
    """

    name: str
    partitions: int
    config: dict[str, str]


def read_topics(path: Path = TOPICS_FILE, event_partitions: int | None = None) -> list[Topic]:
    """Reads the topics, in the file's order.

    Args:
        path: The file.
        event_partitions: Overrides the partitions of ``headwater.events``.

    Raises:
        SettingsError: A table or a value is not what the file may hold.
    """
    tables = tomllib.loads(path.read_text("utf-8"))
    if unknown := tables.keys() - {"defaults", "compacted", "topics"}:
        msg = f"{path}: unknown table {sorted(unknown)}, legal are defaults, compacted, topics"
        raise SettingsError(msg)
    topics = [
        _topic(path, name, table, tables.get("defaults", {}), tables.get("compacted", {}))
        for name, table in tables.get("topics", {}).items()
    ]
    if event_partitions is None:
        return topics
    return [t._replace(partitions=event_partitions) if t.name == EVENTS else t for t in topics]


def _topic(
    path: Path,
    name: str,
    table: dict[str, Any],
    defaults: dict[str, Any],
    compacted: dict[str, Any],
) -> Topic:
    own = dict(table)
    partitions, compact = own.pop("partitions", None), own.pop("compacted", False)
    if type(partitions) is not int or partitions < 1:
        msg = f"{path}: topic {name} has partitions = {partitions!r}: give a number of at least 1"
        raise SettingsError(msg)
    if plain := [key for key in own if "." not in key]:
        msg = f"{path}: topic {name} has unknown keys {plain}: Kafka's settings have dots in them"
        raise SettingsError(msg)
    merged = {**defaults, **(compacted if compact else {}), **own}
    return Topic(name, partitions, {key: str(value) for key, value in merged.items()})


def apply_topics(
    bootstrap: str,
    topics: Iterable[Topic],
    replication: int = 1,
    warn: Callable[[str], None] = lambda _: None,
    client: Mapping[str, Any] | None = None,
) -> list[str]:
    """Creates the missing topics and puts the settings of the present ones right.

    Args:
        bootstrap: Kafka's address.
        topics: What should be there.
        replication: Replicas of a new topic.
        warn: Told about a topic whose partitions differ, which only its owner may change.
        client: Further settings of the client.

    Returns:
        Names of the topics that were created.

    Raises:
        ServiceError: Kafka refused one of them.
    """
    from confluent_kafka.admin import AdminClient

    # The client has to be kept until its futures have resolved, or they never do.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **(client or {})})
    wanted = list(topics)
    present = admin.list_topics(timeout=TIMEOUT_S).topics
    missing = [topic for topic in wanted if topic.name not in present]
    _create(admin, missing, replication)
    existing = [topic for topic in wanted if topic.name in present]
    for topic in existing:
        if (count := len(present[topic.name].partitions)) != topic.partitions:
            warn(
                f"topic {topic.name} has {count} partitions, topics.toml says {topic.partitions}: "
                "left alone, since keys would move"
            )
    _configure(admin, existing)
    return [topic.name for topic in missing]


def _create(admin: Any, topics: list[Topic], replication: int) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

    if not topics:
        return
    new = [
        NewTopic(t.name, t.partitions, replication_factor=replication, config=t.config)
        for t in topics
    ]
    for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_S).items():
        try:
            future.result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                msg = f"Kafka did not create topic {name}: {error.args[0].str()}"
                raise ServiceError(msg) from error


def _configure(admin: Any, topics: list[Topic]) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    if not topics:
        return
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in topic.config.items()
            ],
        )
        for topic in topics
    ]
    for resource, future in admin.incremental_alter_configs(resources).items():
        try:
            future.result(TIMEOUT_S)
        except KafkaException as error:
            msg = f"Kafka refused the settings of topic {resource.name}: {error.args[0].str()}"
            raise ServiceError(msg) from error
