"""Micro-batches of records to messages by bucket, and dead letters with their bytes and places."""

import json
import pickle
from functools import partial

import cloudpickle
import msgspec
import pytest

from operators.admission import Admission
from operators.events import Border, Interaction
from operators.flink.parsing import PARSED_TYPE, TOO_LATE, ParseRecords
from operators.flink.payload import unpack
from operators.framing import Framed, frame
from operators.parsing import of_events, of_weights
from operators.stage import bucket_of, scoped
from tests.flink.fakes import FakeContext

NOW_MS = 1_700_000_000_000
BUCKETS = 16
CLICK = {"kind": "interaction", "event_id": "e", "event_time": NOW_MS, "user_id": "u",
         "item_id": "i", "action": "click"}  # fmt: skip
EVENTS = msgspec.msgpack.Decoder(list[Admission.inputs])
NAMES = PARSED_TYPE.get_field_names()
BEHIND_MS = 1000


def parsed(*records: Framed) -> tuple[list[dict], FakeContext]:
    parse = partial(of_events, border=Border(), buckets=BUCKETS, late_ms=BEHIND_MS)
    parser, context = ParseRecords(parse, lambda: NOW_MS), FakeContext()
    parser.open(context)
    rows = list(parser.process_element((3, "".join(map(frame, records))), context))
    return [dict(zip(NAMES, row, strict=True)) for row in rows], context


def framed(value: bytes | dict | None, offset: int = 0, *, late: bool = False) -> Framed:
    value = json.dumps(value).encode() if isinstance(value, dict) else value
    return Framed(3, offset, NOW_MS + 5, late, None, value)


def accepted(rows: list[dict]) -> dict[int, list]:
    return {row["bucket"]: unpack(EVENTS, row["payload"]) for row in rows if not row["reason"]}


def test_the_messages_of_a_bucket_are_one_row_in_their_order():
    users = ["a", "b", "a", "c", "b", "a"]
    rows, _ = parsed(*(framed({**CLICK, "user_id": user, "event_id": f"e{n}"})
                       for n, user in enumerate(users)))  # fmt: skip
    found = accepted(rows)
    assert len(rows) == len(found)
    for bucket, messages in found.items():
        assert all(type(message) is Interaction for message in messages)
        told = [(message.user_id, message.event_id) for message in messages]
        assert told == [(user, f"e{n}") for n, user in enumerate(users)
                        if bucket_of(scoped("default", user), BUCKETS) == bucket]  # fmt: skip


def test_a_bad_record_is_refused_with_its_bytes_and_place_and_hurts_no_other():
    bad = b'\xff{"kind":\x00\n'
    rows, context = parsed(framed(CLICK, 1), framed(bad, 2), framed(None, 3), framed(CLICK, 4))
    assert sum(map(len, accepted(rows).values())) == 2
    refused = [row for row in rows if row["reason"]]
    assert [row.pop("reason") is not None for row in refused] == [True, True]
    common = {"bucket": 0, "payload": None, "partition": 3, "seen_at": NOW_MS + 5}
    assert refused == [{**common, "raw": bad.decode("latin-1"), "offset": 2},
                       {**common, "raw": None, "offset": 3}]  # fmt: skip
    counted = {name: n for name, n in context.counts.items() if n}
    assert counted == {"records": 4, "dead_letters json": 1, "dead_letters empty": 1}


def test_what_windows_are_closed_for_is_refused_too():
    rows, _ = parsed(framed(CLICK, late=True), framed(b"{", late=True), framed(CLICK))
    late, broken = (row["reason"] for row in rows if row["reason"])
    assert late == TOO_LATE
    assert "JSON" in broken
    assert sum(map(len, accepted(rows).values())) == 1


def test_events_behind_the_clock_are_counted_and_used():
    rows, context = parsed(framed({**CLICK, "event_time": NOW_MS - BEHIND_MS}),
                           framed({**CLICK, "event_time": NOW_MS - BEHIND_MS - 1}))  # fmt: skip
    assert sum(map(len, accepted(rows).values())) == 2
    assert context.counts["late"] == 1


@pytest.mark.parametrize("value", [None, b'{"kind":"sums"}'])
def test_a_record_that_is_about_something_else_gives_no_row(value):
    parser, context = ParseRecords(of_weights, lambda: NOW_MS), FakeContext()
    parser.open(context)
    assert list(parser.process_element((0, frame(framed(value))), context)) == []
    assert context.counts["records"] == 1


def test_no_records_give_no_rows():
    assert parsed()[0] == []


def test_a_parser_travels_to_the_workers():
    parser = ParseRecords(partial(of_events, border=Border(), buckets=4, late_ms=1))
    assert isinstance(pickle.loads(cloudpickle.dumps(parser)), ParseRecords)
