"""Live and replay on the real services: the same topics, the same outcomes.

What differs by design is kept out of this test, and is this: events of one population that fall
into one micro-batch are judged by the list before it, and the two clocks cut batches elsewhere
(here each event of a tenant waits until what came of the last one can be read); the age of a list
that only changes between two cuts; weights that `learn` publishes by the wall clock (here nothing
is learned); the moment a catalogue record takes effect (here there are none).
"""

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.cluster import Cluster
from deploy.connections import plan
from deploy.launching import flink_name
from deploy.records import records
from deploy.serving.store import opened
from deploy.stack import Stack, topics
from jobs.settings import Kafka
from tests.stack.own_settings import written
from tests.stack.test_path import headwater
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

JOB, ROUNDS = "recommend", 10
TENANTS = [f"agree-{os.getpid()}-{number}" for number in range(8)]
"""Populations that know nothing of each other: their events may share a batch."""
FIRST = "-000"
"""Of the first round, which is not compared: while a job compiles, popular rows run far ahead."""
NAMES = ("events", "items", "dead_letters", "outcomes", "strategy")
SETTINGS = (
    "learning.enabled=false", "popular_ms=100", "window_ms=100", "weights.values.pop=1.0",
    "weights.values.c0=4.0", "shadows.frozen.weights.c0=4.0", "shadows.popular.kind=popular",
)  # fmt: skip


@pytest.fixture
def config(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A settings file for the shared stack, with topics of this test alone."""
    kafka = {name: f"agree-{os.getpid()}-{name.replace('_', '-')}" for name in NAMES}
    made = [*kafka.values(), f"{kafka['outcomes']}-again"]
    topics.apply_topics(stack.kafka_bootstrap, [topics.Topic(name, 1, {}) for name in made])
    kafka |= {"group": f"agree-{os.getpid()}", "item_features": "", "text_signals": ""}
    with written(stack, tmp_path, monkeypatch, {"recommend.kafka": kafka}) as file:
        yield file


def outcomes(kafka: Kafka, topic: str) -> dict[str, dict[str, Any]]:
    """By event, each once."""
    found = [json.loads(message.value()) for message in records(kafka, [topic])]
    by_id = {one["event_id"]: one for one in found}
    assert len(by_id) == len(found)
    return by_id


def submitted(*more: str) -> None:
    headwater("submit", JOB, *(word for one in SETTINGS for word in ("--set", one)), *more)


def a_round(client: Producer, topic: str, number: int, rng: random.Random) -> int:
    """One event of each tenant; the time of the last."""
    for tenant in TENANTS:
        now_ms = time.time_ns() // 1_000_000
        user = f"u{rng.randrange(4)}"
        event = {
            "kind": "interaction", "tenant": tenant, "event_id": f"{tenant}-{number:03d}",
            "event_time": now_ms, "user_id": user, "item_id": f"i{rng.randrange(12)}",
            "action": "like",
        }  # fmt: skip
        client.produce(topic, json.dumps(event), key=user)
    assert client.flush(30) == 0
    return now_ms


def test_a_replay_of_the_topics_has_the_outcomes_of_the_live_run(
    stack: Stack, config: Path
) -> None:
    settings = plan(config).settings
    kafka, rng = settings.kafka, random.Random(5)
    client = Producer({"bootstrap.servers": kafka.bootstrap})
    watch = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"{kafka.group}-watch"})
    submitted()
    sent_ms = 0
    with opened(settings.cassandra) as store:

        def all_is_read() -> bool:
            """Whether every event so far is judged, and its shared lists can be read."""
            judged = watch.get_watermark_offsets(TopicPartition(kafka.outcomes, 0), timeout=10)[1]
            rows = [store.trending(tenant, "all") for tenant in TENANTS]
            return judged >= (number + 1) * len(TENANTS) and all(
                row is not None and row.as_of_ms >= first_ms for row in rows
            )

        for number in range(ROUNDS):
            first_ms = max(sent_ms + 200, time.time_ns() // 1_000_000)
            time.sleep(max(0.0, first_ms / 1000 - time.time()))
            sent_ms = a_round(client, kafka.events, number, rng)
            wait_for(all_is_read, f"what comes of round {number}", 120)
    watch.close()
    live = outcomes(kafka, kafka.outcomes)
    assert len(live) == ROUNDS * len(TENANTS)
    active = Cluster(stack.flink_rest_url).active(flink_name(JOB))
    assert active is not None
    Cluster(stack.flink_rest_url).cancel(active.job_id)

    again = f"{kafka.outcomes}-again"
    submitted("--clock", "replay", "--wait", "--set", f"kafka.outcomes={again}")
    told = outcomes(kafka, again)
    differ = [(live[event], told[event]) for event in sorted(live.keys() & told.keys())
              if live[event] != told[event] and not event.endswith(FIRST)]  # fmt: skip
    assert not differ
    assert told.keys() == live.keys()
    ranks = {
        name: {one["shadows"][name] for one in live.values()} for name in ("frozen", "popular")
    }
    ranks["served"] = {one["rank"] for one in live.values()}
    for name, found in ranks.items():
        assert len(found) > 4, f"{name}: {found} says little"
    assert any(one["rank"] != one["shadows"]["frozen"] for one in live.values())
