"""Which records are about a user, and which dead letters name one."""

import base64
import json
from types import SimpleNamespace

import pytest

from deploy.serving import held
from deploy.serving.held import is_about, mentions, records_of, rewrite_dead_letters
from jobs.settings import Kafka


def letter(raw: bytes, reason: str = "not a JSON object") -> bytes:
    return json.dumps({"raw": base64.b64encode(raw).decode(), "reason": reason}).encode()


def message(topic: str, value: bytes | None, offset: int = 0):
    return SimpleNamespace(
        topic=lambda: topic, value=lambda: value, offset=lambda: offset, key=lambda: b"k",
        partition=lambda: 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("record", "about"),
    [
        ({"user_id": "u"}, True),
        ({"session_id": "u", "tenant": "default"}, True),
        ({"user_id": "u", "tenant": "shop"}, False),
        ({"user_id": "uu"}, False),
        (["u"], False),
        (None, False),
    ],
)
def test_a_record_is_about_whom_it_names_in_its_tenant(record, about):
    assert is_about(record, "default", "u") == about


def test_a_letter_names_a_user_raw_escaped_or_in_its_reason():
    assert mentions(json.loads(letter(b'{"user_id": "anna", broken')), "anna")
    escaped = json.dumps({"user_id": "änna"}).encode()
    assert mentions(json.loads(letter(escaped)), "änna")
    assert mentions(json.loads(letter(b"", "invalid value 'anna'")), "anna")
    assert not mentions(json.loads(letter(b'{"user_id": "bob"}')), "anna")
    assert not mentions(None, "anna")


def test_a_short_id_is_not_found_in_prices_and_longer_ids():
    for raw in (b'{"user_id": "421", "value": 42}', b'{"user_id": 421}', b'{"item_id": "x42"}'):
        assert not mentions(json.loads(letter(raw, "42 bytes")), "42")
    for raw in (b'{"user_id": 42}', b'{"session_id":"42", broken', b'{"user_id" : 42,'):
        assert mentions(json.loads(letter(raw)), "42")


def test_records_of_all_topics_are_found_and_unreadable_ones_passed_over(monkeypatch):
    kafka = Kafka()
    found = [
        message(kafka.events, b'{"user_id": "anna"}', 3),
        message(kafka.events, b'{"user_id": "bob"}', 4),
        message(kafka.events, b"\xff", 5),
        message(kafka.events, None, 6),
        message(kafka.dead_letters, letter(b"anna"), 7),
    ]
    monkeypatch.setattr(held, "records", lambda *_: iter(found))
    told = list(records_of(kafka, "default", "anna"))
    assert [(one.topic, one.offset) for one in told] == [(kafka.events, 3), (kafka.dead_letters, 7)]


def test_letters_that_name_nobody_stay_where_they_are(monkeypatch):
    letters = [message("headwater.dead-letters", letter(b"bob"), 1)]
    monkeypatch.setattr(held, "records", lambda *_: iter(letters))
    removed = rewrite_dead_letters(Kafka(), "anna")
    assert (removed.letters, removed.kept) == (0, 1)


def test_topics_are_those_of_the_settings_and_one_without_a_name_is_none():
    kafka = Kafka(events="e", outcomes="o", text_signals="", dead_letters="d")
    assert held.topics_of(kafka) == ["e", "o", "d"]
