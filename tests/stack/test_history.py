"""A list of a past moment from the topics of a running system."""

import json

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from deploy.cli import app
from deploy.replay.produce import EVENTS_TOPIC, ITEMS_TOPIC

pytestmark = pytest.mark.stack

TENANT, START_MS = "then", 1_600_000_000_000


def produce(client: Producer) -> None:
    """Users of one taste, and one who joins them late."""
    for number in range(12):
        item = {"tenant": TENANT, "item_id": f"i{number}", "event_time": START_MS - 1,
                "title": f"Title {number}"}  # fmt: skip
        client.produce(ITEMS_TOPIC, json.dumps(item), key=item["item_id"])
    for number in range(60):
        user = "late" if number >= 55 else f"u{number % 5}"
        event = {
            "kind": "interaction", "tenant": TENANT, "event_id": f"then-{number}",
            "event_time": START_MS + 5000 * number, "user_id": user,
            "item_id": f"i{(number // 5 + number % 5) % 12}", "action": "like",
        }  # fmt: skip
        client.produce(EVENTS_TOPIC, json.dumps(event), key=user)
    client.produce(EVENTS_TOPIC, b"no event of anybody", key="nobody")
    assert client.flush(30) == 0


def test_a_past_list_comes_from_the_topics_without_what_came_after(stack, tmp_path):
    produce(Producer({"bootstrap.servers": stack.kafka_bootstrap}))
    file = tmp_path / "headwater.toml"
    file.write_text(f'[recommend.kafka]\nbootstrap = "{stack.kafka_bootstrap}"\n')

    def at(ms: int) -> dict:
        done = CliRunner().invoke(
            app,
            ["history", "late", "--at", str(ms), "--tenant", TENANT, "--json", "--config",
             str(file)],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    before, after = at(START_MS + 5000 * 54), at(START_MS + 5000 * 60)
    assert before["generation"] == 0
    assert "nothing is stored for this user" in before["fallback"]
    assert after["generation"] > 0
    assert after["fallback"] is None
    touched = {f"i{(number // 5 + number % 5) % 12}" for number in range(55, 60)}
    assert not touched & {one["item_id"] for one in after["items"]}
    assert after["items"][0]["title"].startswith("Title ")
