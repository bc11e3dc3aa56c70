"""`understand` on the real services with a real encoder: features, signals, nothing read twice."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner

from deploy.bench.counters import scrape
from deploy.cli import app
from deploy.cluster import Cluster
from deploy.launching import flink_name
from deploy.stack import Stack, schema, topics
from operators.features_wire import (
    Complete,
    ItemFeatures,
    ItemGone,
    parse_features,
    parse_signal,
    vector_of,
)
from operators.naming import identity
from tests.stack.own_settings import written
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

JOB, TENANT = "understand", "reading"
STORIES = {
    "space": ["Astronauts fly a rocket to Mars", "A spaceship drifts beyond the solar system",
              "Engineers build a base on the moon"],
    "kitchen": ["A chef opens a small restaurant in Paris", "Two cooks fight over a recipe",
                "Baking bread in a village bakery"],
    "football": ["A striker scores in the cup final", "A coach trains a team of young players",
                 "The goalkeeper saves a penalty"],
}  # fmt: skip
ITEMS = {f"{story}-{n}": text for story, texts in STORIES.items() for n, text in enumerate(texts)}


def headwater(*arguments: str) -> None:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, f"{arguments}: {result.output}{result.exception or ''}"


class Topics:
    """Topics of this test alone."""

    def __init__(self, bootstrap: str) -> None:
        self.names = {name: f"understand-{os.getpid()}-{name}" for name in (
            "events", "items", "dead_letters", "item_features", "text_signals")}  # fmt: skip
        topics.apply_topics(bootstrap, [topics.Topic(one, 2, {}) for one in self.names.values()])
        self._bootstrap = bootstrap
        self._client = Producer({"bootstrap.servers": bootstrap})
        self._seen: dict[str, list] = {name: [] for name in self.names}
        self._consumers = {name: self._consumer(topic) for name, topic in self.names.items()}

    def _consumer(self, topic: str) -> Consumer:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"{topic}-test",
                             "auto.offset.reset": "earliest"})  # fmt: skip
        consumer.subscribe([topic])
        return consumer

    def send(self, name: str, key: str, record: dict) -> None:
        self._client.produce(self.names[name], json.dumps(record), key=key)

    def publish(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for item, text in ITEMS.items():
            self.send("items", item, {"tenant": TENANT, "item_id": item, "event_time": now_ms,
                                      "title": text, "description": "A film."})  # fmt: skip
        self.send("items", "blank", {"tenant": TENANT, "item_id": "blank", "event_time": now_ms,
                                     "title": "\u200b"})  # fmt: skip
        self.send("items", "leaves", {"item_id": "leaves", "event_time": now_ms,
                                      "title": "Leaves soon"})  # fmt: skip
        self.flush()

    def delete(self, item: str) -> None:
        self._client.produce(self.names["items"], None, key=item)
        self.flush()

    def flush(self) -> None:
        assert self._client.flush(30) == 0

    def search(self, user: str, text: str) -> None:
        self.send("events", user, {
            "kind": "interaction", "tenant": TENANT, "event_id": f"e-{user}", "user_id": user,
            "event_time": time.time_ns() // 1_000_000, "action": "search", "text": text,
        })  # fmt: skip
        self.flush()

    def seen(self, name: str) -> list[tuple[bytes | None, bytes | None]]:
        """All records so far."""
        found = self._seen[name]
        for message in self._consumers[name].consume(100, 0.2):
            if message.error() is None:
                found.append((message.key(), message.value()))
        return found

    def features(self, tenant: str = TENANT) -> list:
        found = [parse_features(key, value) for key, value in self.seen("item_features")]
        return [one for one in found if getattr(one, "tenant", tenant) == tenant]

    def close(self) -> None:
        for consumer in self._consumers.values():
            consumer.close()


@pytest.fixture
def ours(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Topics]:
    made = Topics(stack.kafka_bootstrap)
    tables = {"understand.kafka": made.names | {"group": f"understand-{os.getpid()}"}}
    with written(stack, tmp_path, monkeypatch, tables, jobs=(JOB,)):
        yield made
        made.close()


def counted(stack: Stack) -> dict[str, float]:
    """What the reading functions of the running job have counted."""
    active = Cluster(stack.flink_rest_url).active(flink_name(JOB))
    names = [one.service for one in stack.processes() if one.service.startswith("taskmanager")]
    ports = [port for name in names if (port := stack.settings.metrics_port(name))]
    return scrape(ports, active.job_id).stages.get("read", {})


def topics_in_cassandra(stack: Stack) -> dict[str, str]:
    """The heaviest topic of each item that has one."""
    with schema.connected(stack.cassandra_hosts, stack.cassandra_port) as session:
        found = session.prepare(
            f"SELECT topics FROM {stack.settings.keyspace}.item_features "
            "WHERE tenant = ? AND item_id = ?"
        )
        rows = {item: session.execute(found, (TENANT, item)).one() for item in ITEMS}
    return {item: row.topics[0].name for item, row in rows.items() if row and row.topics}


def own_topic(features: ItemFeatures) -> tuple[str, str] | None:
    """Item and name of its heaviest topic, if that is a cluster's."""
    names = [one.name for one in features.topics if identity(one.name) != one.name]
    return (features.item_id, names[0]) if names else None


def newest(ours: Topics) -> dict[str, ItemFeatures]:
    """Features of each item, as last published."""
    return {one.item_id: one for one in ours.features() if isinstance(one, ItemFeatures)}


def nearest_in_cassandra(stack: Stack, vector: list[float]) -> list[str]:
    with schema.connected(stack.cassandra_hosts, stack.cassandra_port) as session:
        keyspace = stack.settings.keyspace
        found = session.prepare(
            f"SELECT tenant, item_id FROM {keyspace}.item_features ORDER BY vector ANN OF ? LIMIT 3"
        )
        return [row.item_id for row in session.execute(found, (vector,)) if row.tenant == TENANT]


def test_items_and_texts_are_read_once_and_found_again(stack: Stack, ours: Topics) -> None:
    ours.publish()
    headwater("submit", JOB)
    wait_for(lambda: any(isinstance(one, Complete) for one in ours.features()), "the marker")
    # The marker is in one of two partitions: what came before it in the other is read when it is.
    wait_for(lambda: sorted(newest(ours)) == sorted(ITEMS), "all items", seconds=20)
    found = newest(ours)
    assert sorted(found) == sorted(ITEMS)
    for item, features in found.items():
        assert features.fallback is None, item
        assert features.language == "en", item

    wait_for(lambda: ours.seen("dead_letters"), "the dead letter")
    (letter,) = ours.seen("dead_letters")
    assert json.loads(letter[1])["reason"].startswith("before inference")
    wait_for(lambda: len(nearest_in_cassandra(stack, found["space-0"].vector)) == 3, "Cassandra")
    assert nearest_in_cassandra(stack, found["space-0"].vector)[0] == "space-0"

    ours.search("u", "a rocket in orbit")
    wait_for(lambda: ours.seen("text_signals"), "the signal")
    signal = parse_signal(ours.seen("text_signals")[0][1])
    about = vector_of(signal)
    assert signal.model == found["space-0"].model
    best = max(found, key=lambda item: float(vector_of(found[item]) @ about))
    assert best.startswith("space")

    ours.delete("leaves")
    gone = ItemGone(item_id="leaves")
    wait_for(lambda: gone in ours.features("default"), "the deletion")

    headwater("stop", JOB)
    ours.publish()
    few = ("--set", f"catalogue.map_counts=[{len(ITEMS)}]", "--set", "catalogue.similarity_min=-1")
    headwater("submit", JOB, "--from-savepoint", "latest", *few)  # from now on so few are enough
    wait_for(lambda: len(ours.seen("dead_letters")) == 2, "the catalogue once more")
    wait_for(lambda: counted(stack).get("texts", 0) > len(ITEMS), "its counters")
    counts = counted(stack)
    assert counts["cache_misses"] == 0
    assert counts["cache_hits"] == len(ITEMS) + 1
    wait_for(lambda: all(map(own_topic, newest(ours).values())), "own topics of all items")
    found = newest(ours)
    own = dict(map(own_topic, found.values()))
    for item, features in found.items():
        story = item.partition("-")[0]
        assert {one.item_id.partition("-")[0] for one in features.neighbours[:2]} == {story}
        assert identity(own[item]) == identity(own[f"{story}-0"])
    assert len(set(map(identity, own.values()))) == len(STORIES)
    wait_for(lambda: topics_in_cassandra(stack) == own, "the same in Cassandra")
    ours.search("w", "astronauts on a rocket to Mars")
    wait_for(lambda: len(ours.seen("text_signals")) == 2, "the next signal")
    signal = parse_signal(ours.seen("text_signals")[1][1])
    assert identity(signal.topics[0].name) == identity(own["space-0"])
