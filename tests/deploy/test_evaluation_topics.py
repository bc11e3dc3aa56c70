"""A list of a past moment from the topics, read by the real client from librdkafka's own broker."""

import json

import pytest
from confluent_kafka import Producer
from msgspec import structs
from typer.testing import CliRunner

from deploy import records
from deploy.cli import app
from deploy.evaluation import runner, topics
from deploy.evaluation.sources import EvaluationError
from jobs.settings import Kafka, SettingsError
from tests.deploy import in_memory

TENANT, START_MS = "then", 1_600_000_000_000
TOUCHED = [f"i{(number // 5 + number % 5) % 12}" for number in range(60)]


@pytest.fixture(scope="module")
def kafka():
    """Sixty events of one tenant, the last five of a user who comes late, among other records."""
    client = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = client.list_topics(timeout=10).brokers.values()
    settings = Kafka(bootstrap=",".join(f"{one.host}:{one.port}" for one in brokers))
    for topic in (settings.events, settings.items):
        client.list_topics(topic, timeout=10)
    for number in range(12):
        item = {"tenant": TENANT, "item_id": f"i{number}", "event_time": START_MS - 1,
                "title": f"Title {number}"}  # fmt: skip
        client.produce(settings.items, json.dumps(item), key=item["item_id"])
    client.produce(settings.items, None, key="i3")
    for number, touched in enumerate(TOUCHED):
        user = "late" if number >= 55 else f"u{number % 5}"
        event = {
            "kind": "interaction", "tenant": TENANT, "event_id": f"then-{number}",
            "event_time": START_MS + 5000 * number, "user_id": user, "item_id": touched,
            "action": "like",
        }  # fmt: skip
        client.produce(settings.events, json.dumps(event), key=user)
        client.produce(settings.events, json.dumps(event | {"tenant": "other"}), key=user)
    client.produce(settings.events, b"no event of anybody", key="nobody")
    assert client.flush(30) == 0
    yield settings
    client.flush(1)


def test_events_come_by_time_of_one_tenant_and_what_is_left_out_is_told(kafka, tmp_path):
    found, catalogue = topics.fetch(kafka, TENANT, START_MS + 50_000, tmp_path, lambda done: None)
    sent = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [one["event_id"] for one in sent] == [f"then-{number}" for number in range(11)]
    assert {one["tenant"] for one in sent} == {TENANT}
    assert len((tmp_path / "items").read_text().splitlines()) == 12
    assert catalogue.titles["i7"] == "Title 7"
    assert found.events == 11
    assert [note.split()[:2] for note in found.notes()] == [["1", "records"], ["1", "deletions"]]


def test_the_list_of_then_knows_nothing_of_what_came_after(kafka, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run", in_memory.run)
    file = tmp_path / "headwater.toml"
    file.write_text(f'[recommend.kafka]\nbootstrap = "{kafka.bootstrap}"\n')

    def at(ms: int) -> dict:
        done = CliRunner().invoke(
            app,
            ["history", "late", "--at", str(ms), "--tenant", TENANT, "--json", "--config",
             str(file)],
        )  # fmt: skip
        assert done.exit_code == 0, f"{done.output} {done.exception!r}"
        assert "1 deletions of items are not replayed" in done.stderr
        return json.loads(done.stdout)

    before, after = at(START_MS + 5000 * 54), at(START_MS + 5000 * 60)
    assert before["generation"] == 0
    assert "nothing is stored for this user" in before["fallback"]
    assert after["generation"] > 0
    assert after["fallback"] is None
    assert not set(TOUCHED[55:]) & {one["item_id"] for one in after["items"]}
    assert after["items"][0]["title"].startswith("Title ")


def test_a_kafka_that_does_not_answer_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "TIMEOUT_S", 0.3)
    silent = Kafka(bootstrap="127.0.0.1:9")
    with pytest.raises(EvaluationError, match=r"127\.0\.0\.1:9 does not.*--config names"):
        topics.fetch(silent, TENANT, START_MS, tmp_path, lambda done: None)


def test_a_topic_that_is_not_there_is_named(kafka, tmp_path):
    missing = structs.replace(kafka, items="nothing.of.the.kind")
    with pytest.raises(EvaluationError, match=r"no topic nothing\.of\.the\.kind"):
        topics.fetch(missing, TENANT, START_MS, tmp_path, lambda done: None)
    assert list(records.records(kafka, ["nothing.of.the.kind"])) == []


def test_reading_logs_in_as_the_settings_say(kafka, tmp_path):
    stranger = structs.replace(kafka, user="anna", password_file=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="password_file"):
        topics.fetch(stranger, TENANT, START_MS, tmp_path, lambda done: None)
