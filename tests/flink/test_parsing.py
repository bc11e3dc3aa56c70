"""Records to messages: the bucket they go to, refusals, deletions, late ones, text left outside."""

import json

import msgspec
import pandas as pd
import pytest

from operators.admission import Admission
from operators.events import Border, Erase, Impression, Interaction, UserUpdate, parse_event
from operators.figures import Figures
from operators.flink.parsing import ParseEvents, ParseItems
from operators.flink.payload import unpack
from operators.messages import Listed
from operators.parameters import AdmissionSettings, FiguresSettings
from operators.stage import bucket_of
from operators.strengths import Strengths
from tests.driven import Driven
from tests.flink.fakes import FakeContext

NOW_MS = 1_700_000_000_000
BUCKETS = 16
CLICK = {"kind": "interaction", "event_id": "e", "event_time": NOW_MS, "user_id": "u",
         "item_id": "i", "action": "click"}  # fmt: skip
ITEM = {"item_id": "i", "event_time": NOW_MS, "title": "Heat", "categories": ["crime"]}
EVENTS = msgspec.msgpack.Decoder(list[Admission.inputs])
LISTED = msgspec.msgpack.Decoder(list[Figures.inputs])


def opened(kind, late_ms: int = 1000):
    context = FakeContext()
    parser = kind(Border(), BUCKETS, late_ms, lambda: NOW_MS)
    parser.open(context)
    return parser, context


def raw(record: dict | bytes | None) -> bytes | None:
    return json.dumps(record).encode() if isinstance(record, dict) else record


def events(*records, late_ms: int = 1000) -> tuple[pd.DataFrame, FakeContext]:
    parser, context = opened(ParseEvents, late_ms)
    return parser.eval(pd.Series([raw(record) for record in records], dtype=object)), context


def items(*records) -> tuple[pd.DataFrame, FakeContext]:
    """Records are (key, value, time of the broker)."""
    parser, context = opened(ParseItems)
    keys, values, times = zip(*records, strict=True)
    columns = [pd.Series(keys, dtype=object), pd.Series([raw(v) for v in values], dtype=object)]
    return parser.eval(*columns, pd.Series(times)), context


def messages(frame: pd.DataFrame, decoder=EVENTS) -> list:
    return [one for payload in frame["payload"] for one in unpack(decoder, payload)]


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
    frame, _ = events(record)
    assert list(frame.columns) == ["reason", "bucket", "payload"]
    assert frame["reason"].tolist() == [None]
    (message,) = messages(frame)
    assert type(message) is kind
    assert message == parse_event(raw(record), NOW_MS, Border())


@pytest.mark.parametrize(("record", "kind"), KINDS)
def test_the_bucket_of_an_event_is_the_one_its_state_lives_in(record, kind):
    frame, _ = events(record)
    stage = Driven(Admission(AdmissionSettings(), Strengths()))
    stage.send(*messages(frame))
    for key in stage.data()["user"]:
        assert bucket_of(key, BUCKETS) == frame["bucket"][0]


def test_an_erasure_meets_the_events_of_its_user():
    frame, _ = events(CLICK, {"kind": "erase", "event_id": "x", "event_time": NOW_MS,
                              "user_id": "u"}, {**CLICK, "session_id": "s"})  # fmt: skip
    assert len(set(frame["bucket"])) == 1


def test_users_spread_over_all_buckets():
    frame, _ = events(*({**CLICK, "user_id": f"u{n}"} for n in range(500)))
    assert set(frame["bucket"]) == set(range(BUCKETS))


@pytest.mark.parametrize("action", ["search", "comment", "review"])
def test_text_is_read_by_another_job_and_stays_outside(action):
    frame, _ = events({**CLICK, "action": action, "text": "what only I say"})
    (message,) = messages(frame)
    assert (message.action, message.text) == (action, "")


def test_a_bad_record_is_refused_with_its_reason_and_hurts_no_other():
    frame, context = events(CLICK, b"{", None, {**CLICK, "action": "buy"}, b"null",
                            {**CLICK, "event_time": 10**13}, b"x" * 2_000_000, CLICK)  # fmt: skip
    reasons = frame["reason"].tolist()
    assert [reason is None for reason in reasons] == [True, *[False] * 6, True]
    parts = [
        "JSON",
        "no value",
        "an action is one of view",
        "object",
        "ahead of the clock",
        "bytes",
    ]
    for reason, part in zip(reasons[1:7], parts, strict=True):
        assert part in reason
    assert frame["payload"].tolist()[1:7] == [""] * 6
    assert frame["bucket"].between(0, BUCKETS - 1).all()
    dead = {name: n for name, n in context.counts.items() if name.startswith("dead_letters ")}
    assert dead == {"dead_letters json": 1, "dead_letters empty": 1, "dead_letters contract": 2,
                    "dead_letters future": 1, "dead_letters size": 1}  # fmt: skip
    assert context.counts["records"] == 8


def test_late_events_are_counted_and_used():
    frame, context = events({**CLICK, "event_time": NOW_MS - 1000},
                            {**CLICK, "event_time": NOW_MS - 1001})  # fmt: skip
    assert frame["reason"].tolist() == [None, None]
    assert context.counts["late"] == 1


def test_no_records_give_no_rows():
    frame, context = events()
    assert frame.shape == (0, 3)
    assert context.counts["records"] == 0


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
    frame, _ = items((key, value, NOW_MS + 7))
    assert messages(frame, LISTED) == [message]
    stage = Driven(Figures(FiguresSettings()))
    stage.send(message)
    assert [bucket_of(one, BUCKETS) for one in stage.data()["item"]] == [frame["bucket"][0]]


def test_a_bad_catalogue_record_is_refused_and_counted():
    frame, context = items((b"i", b"{}", 1), (b"", None, 1), (None, None, 1), (b"\xff", None, 1),
                           (b"i" * 257, None, 1), (b"i", b"", 1), (b"j", None, 1))  # fmt: skip
    assert [reason is None for reason in frame["reason"]] == [*[False] * 6, True]
    assert context.counts["dead_letters contract"] == 5
    assert context.counts["dead_letters empty"] == 1
    assert context.counts["records"] == 7


def test_a_deletion_written_far_ahead_of_the_clock_is_refused():
    """It would make the catalogue deaf to every later record of the item."""
    year_2300_ms = 10_413_792_000_000
    frame, _ = items((b"i", None, year_2300_ms))
    assert frame["reason"][0] is not None


def test_the_planner_may_not_repeat_or_share_a_parse():
    assert not opened(ParseEvents)[0].is_deterministic()
    assert not opened(ParseItems)[0].is_deterministic()
