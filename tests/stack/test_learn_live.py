"""The loop on the real services: lists, outcomes, the job `learn`, weights, other lists."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from deploy.connections import plan
from deploy.serving.store import opened
from deploy.stack import Stack, topics
from operators.features import Weights
from tests.stack.own_settings import written
from tests.stack.test_path import TENANT, Site, headwater, lists
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

JOBS = ("recommend", "learn")
CONTRACT = {"event_id", "user_id", "item_id", "event_time", "rank", "source", "variant", "model",
            "list_age_ms"}  # fmt: skip
"""Fields that every outcome has, the last of them possibly null."""


@pytest.fixture
def config(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A settings file for the shared stack, with topics of this test alone."""
    names = ("events", "items", "dead_letters", "outcomes", "strategy", "item_features",
             "text_signals")  # fmt: skip
    kafka = {name: f"learn-{os.getpid()}-{name.replace('_', '-')}" for name in names}
    topics.apply_topics(
        stack.kafka_bootstrap, [topics.Topic(name, 1, {}) for name in kafka.values()]
    )
    shared = {name: kafka[name] for name in ("outcomes", "strategy", "dead_letters")}
    tables: dict[str, dict[str, Any]] = {
        "recommend.kafka": kafka | {"group": f"learn-{os.getpid()}-recommend"},
        "learn.kafka": shared | {"group": f"learn-{os.getpid()}"},
        "learn.learning": {"period_ms": 2000},
    }
    with written(stack, tmp_path, monkeypatch, tables, JOBS) as file:
        yield file


def records(bootstrap: str, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """Key and value of all records of a topic so far."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-test"})
    partition = TopicPartition(topic, 0, 0)
    consumer.assign([partition])
    _, end = consumer.get_watermark_offsets(partition, timeout=10)
    found: list[Message] = []
    while len(found) < end:
        some = consumer.consume(end - len(found), timeout=10)
        assert some, f"{len(found)} of {end} records of {topic} arrived"
        found += some
    consumer.close()
    return [(one.key().decode(), json.loads(one.value())) for one in found]


def overtaken(one: dict[str, Any], outcomes: list[dict[str, Any]]) -> bool:
    """Whether a later event of the user can have been judged first: it went by another item."""
    return any(
        other["user_id"] == one["user_id"] and other["event_time"] > one["event_time"]
        for other in outcomes
    )


def test_what_people_do_with_their_lists_changes_the_weights_of_the_next(config: Path) -> None:
    settings = plan(config).settings
    kafka = settings.kafka
    site = Site(kafka.bootstrap, kafka.events, kafka.items)
    site.publish_all()
    for job in JOBS:
        headwater("submit", job)
    with opened(settings.cassandra) as store:

        def has_learned() -> bool:
            site.everybody_acts(1)
            return any(row.stored.model.startswith("itemcf-1.") for row in lists(store).values())

        wait_for(has_learned, "a list by learned weights", 180)
    told = records(kafka.bootstrap, kafka.strategy)
    assert {key for key, _ in told} == {f"weights/{TENANT}"}
    newest = told[-1][1]
    assert newest["kind"] == "weights"
    assert newest["values"]["c0"] != Weights().values["c0"]

    outcomes = records(kafka.bootstrap, kafka.outcomes)
    assert all(key == one["user_id"] and one.keys() >= CONTRACT for key, one in outcomes)
    assert len({one["event_id"] for _, one in outcomes}) == len(outcomes)
    learned = [one for _, one in outcomes if "gradient" in one]
    assert 0 < int(newest["model"].rpartition(".")[2]) <= len(learned)
    for one in learned:
        assert one["rank"] >= 1
        assert one["source"] in {"co_occurrence", "trending"}
        assert one["list_age_ms"] >= 0 or overtaken(one, [other for _, other in outcomes])
        assert one["model"].startswith("itemcf-1")
