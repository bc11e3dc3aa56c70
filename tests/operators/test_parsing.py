"""Records to messages: the bucket they go to, refusals, deletions, text left outside."""

import json

import pytest

from operators.admission import Admission
from operators.events import (
    Border,
    Erase,
    Impression,
    Interaction,
    Rejected,
    UserUpdate,
    parse_event,
)
from operators.figures import Figures
from operators.framing import Framed
from operators.messages import Listed
from operators.parameters import AdmissionSettings, FiguresSettings
from operators.parsing import Parsed, of_events, of_items
from operators.stage import bucket_of
from operators.strengths import Strengths
from tests.driven import Driven

NOW_MS = 1_700_000_000_000
BUCKETS = 16
CLICK = {"kind": "interaction", "event_id": "e", "event_time": NOW_MS, "user_id": "u",
         "item_id": "i", "action": "click"}  # fmt: skip
ITEM = {"item_id": "i", "event_time": NOW_MS, "title": "Heat", "categories": ["crime"]}


def raw(record: dict | bytes | None) -> bytes | None:
    return json.dumps(record).encode() if isinstance(record, dict) else record


def event(record: dict | bytes | None) -> Parsed | Rejected:
    framed = Framed(0, 0, 0, False, None, raw(record))
    return of_events(framed, NOW_MS, Border(), BUCKETS, 1000)


def item(key: bytes | None, value: dict | bytes | None, at_ms: int = 1) -> Parsed | Rejected:
    return of_items(Framed(0, 0, at_ms, False, key, raw(value)), NOW_MS, Border(), BUCKETS)


KINDS = [
    (CLICK, Interaction),
    ({**CLICK, "user_id": "ü", "tenant": "shop"}, Interaction),
    ({**CLICK, "session_id": "s"}, Interaction),
    ({**CLICK, "session_id": "s", "consent": False}, Interaction),
    ({**CLICK, "consent": False}, Interaction),
    ({**CLICK, "action": "hide"}, Interaction),
    ({**CLICK, "action": "dwell", "value": 3.5, "context": {"country": "NZ"}}, Interaction),
    ({"kind": "impression", "event_id": "e", "event_time": NOW_MS, "session_id": "s",
      "impression_id": "p", "surface": "home", "items": []}, Impression),
    ({"kind": "user", "event_id": "e", "event_time": NOW_MS, "user_id": "w"}, UserUpdate),
    ({"kind": "erase", "event_id": "e", "event_time": NOW_MS, "user_id": "w"}, Erase),
]  # fmt: skip


@pytest.mark.parametrize(("record", "kind"), KINDS)
def test_an_event_goes_on_as_it_was_parsed(record, kind):
    found = event(record)
    assert type(found.message) is kind
    assert found.message == parse_event(raw(record), NOW_MS, Border())
    assert not found.delayed


@pytest.mark.parametrize(("record", "kind"), KINDS)
def test_the_bucket_of_an_event_is_the_one_its_state_lives_in(record, kind):
    found = event(record)
    stage = Driven(Admission(AdmissionSettings(), Strengths()))
    stage.send(found.message)
    for key in stage.data()["user"]:
        assert bucket_of(key, BUCKETS) == found.bucket


def test_an_erasure_meets_the_events_of_its_user():
    erase = {"kind": "erase", "event_id": "x", "event_time": NOW_MS, "user_id": "u"}
    records = (CLICK, erase, {**CLICK, "session_id": "s"})
    assert len({event(record).bucket for record in records}) == 1


def test_users_spread_over_all_buckets():
    found = {event({**CLICK, "user_id": f"u{n}"}).bucket for n in range(500)}
    assert found == set(range(BUCKETS))


@pytest.mark.parametrize("action", ["search", "comment", "review"])
def test_text_is_read_by_another_job_and_stays_outside(action):
    message = event({**CLICK, "action": action, "text": "what only I say"}).message
    assert (message.action, message.text) == (action, "")


@pytest.mark.parametrize(
    ("record", "kind", "part"),
    [
        (b"{", "json", "JSON"),
        (None, "empty", "no value"),
        ({**CLICK, "action": "buy"}, "contract", "an action is one of view"),
        (b"null", "contract", "object"),
        ({**CLICK, "event_time": 10**13}, "future", "ahead of the clock"),
        (b"x" * 2_000_000, "size", "bytes"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(record, kind, part):
    refused = event(record)
    assert refused.kind == kind
    assert part in refused.reason


def test_events_far_behind_the_clock_are_told_apart():
    times = (NOW_MS - 1000, NOW_MS - 1001)
    assert [event({**CLICK, "event_time": at}).delayed for at in times] == [False, True]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (b"i", ITEM, Listed(NOW_MS, "\x00i", "default", "i", "Heat", ["crime"], True, False)),
        (None, ITEM, Listed(NOW_MS, "\x00i", "default", "i", "Heat", ["crime"], True, False)),
        (b"i", {**ITEM, "available": False, "tenant": "shop", "categories": []},
         Listed(NOW_MS, "\x00i", "shop", "i", "Heat", [], False, False)),
        (b"i", None, Listed(NOW_MS + 7, "\x00i", "default", "i", "i", [], False, True)),
        ("ü".encode(), None, Listed(NOW_MS + 7, "\x00ü", "default", "ü", "ü", [], False, True)),
    ],
)  # fmt: skip
def test_a_catalogue_record_or_its_end_goes_to_the_bucket_of_its_item(key, value, message):
    found = item(key, value, NOW_MS + 7)
    assert found.message == message
    stage = Driven(Figures(FiguresSettings()))
    stage.send(message)
    assert [bucket_of(one, BUCKETS) for one in stage.data()["item"]] == [found.bucket]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [(b"i", b"{}", "contract"), (b"", None, "contract"), (None, None, "contract"),
     (b"\xff", None, "contract"), (b"i" * 257, None, "contract"), (b"i", b"", "empty")],
)  # fmt: skip
def test_a_bad_catalogue_record_is_refused(key, value, kind):
    assert item(key, value).kind == kind


def test_a_deletion_written_far_ahead_of_the_clock_is_refused():
    """It would make the catalogue deaf to every later record of the item."""
    year_2300_ms = 10_413_792_000_000
    assert item(b"i", None, year_2300_ms).kind == "future"
