"""The data set of the demo through the real command into the real Kafka."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

import deploy
from deploy.replay.produce import EVENTS_TOPIC, ITEMS_TOPIC
from deploy.replay.readers import open_source
from operators.events import Interaction

pytestmark = pytest.mark.stack

FOLDER = Path(deploy.__file__).parent / "demo" / "ml-latest-small"
EVENTS, ITEMS = 100_836, 9_742
TENANT = "replayed"


def is_ours(value: bytes | None) -> bool:
    """Whether a record is one of our tenant; some of the others are no JSON at all."""
    return value is not None and b'"%s"' % TENANT.encode() in value


def read_tenant(bootstrap: str, topic: str, count: int) -> list:
    """The records of our tenant: other tests write to the same topics."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "replay", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages, silent = [], 0
    while len(messages) < count:
        # It waits for all of a batch: the last one is never full.
        batch = consumer.consume(10_000, timeout=1)
        silent = 0 if batch else silent + 1
        assert silent < 30, f"{len(messages)} of {count} records of {topic} arrived"
        messages += [m for m in batch if is_ours(m.value())]
    consumer.close()
    return messages


def test_all_records_arrive_once_in_order_per_user_and_at_one_partition_per_key(stack):
    finished = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "replay", str(FOLDER), "--tenant", TENANT],
        env=os.environ | {"HEADWATER_KAFKA": stack.kafka_bootstrap},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "110,578 delivered, 0 failed" in finished.stdout

    messages = read_tenant(stack.kafka_bootstrap, EVENTS_TOPIC, EVENTS)
    sent = [r for r in open_source(FOLDER).records() if isinstance(r, Interaction)]
    arrived: dict[str, list[str]] = {}
    for message in messages:
        arrived.setdefault(message.key().decode(), []).append(
            json.loads(message.value())["event_id"]
        )
    expected: dict[str, list[str]] = {}
    for event in sent:
        expected.setdefault(event.user_id, []).append(event.event_id)
    assert arrived == expected
    partitions = {(message.key(), message.partition()) for message in messages}
    assert len(partitions) == len(expected)

    items = read_tenant(stack.kafka_bootstrap, ITEMS_TOPIC, ITEMS)
    assert Counter(message.key() for message in items).most_common(1)[0][1] == 1
