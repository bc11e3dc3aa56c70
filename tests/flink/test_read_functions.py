"""Records to readings: what is read, what is passed over, what is a dead letter."""

import json
from itertools import count

import msgspec
import pandas as pd
import pytest

from jobs.read_functions import ReadEvents, ReadItems
from operators.catalogue import Catalogue
from operators.events import Border
from operators.flink.payload import unpack
from operators.readings import CaughtUp, ItemLeft, ItemRead, TextRead
from operators.stage import bucket_of
from tests.flink.fakes import FakeContext
from udfs.fake import HashEncoder
from udfs.reader import Reader, Remembered

NOW_MS = 1_700_000_000_000
BUCKETS = 4
ITEM = {"item_id": "i", "event_time": NOW_MS, "title": "Heat", "description": "A heist."}
SEARCH = {"kind": "interaction", "event_id": "e", "event_time": NOW_MS, "user_id": "u",
          "action": "search", "text": "crime in the city"}  # fmt: skip
MESSAGES = msgspec.msgpack.Decoder(list[Catalogue.inputs])
_names = count()


def make() -> Reader:
    return Reader(HashEncoder(refuse="poison"), dict, remembered=Remembered(99))


def opened(kind, *first, reader=make):
    function = kind(*first, name=f"test-{next(_names)}", make=reader, border=Border(),
                    buckets=BUCKETS, clock=lambda: NOW_MS)  # fmt: skip
    context = FakeContext()
    function.open(context)
    return function, context


def raw(record):
    return json.dumps(record).encode() if isinstance(record, dict) else record


def items(*records, ends=None, first_offset: int = 0, opening=None):
    """Records are values, or (key, None) for a deletion."""
    function, context = opening or opened(ReadItems, ends or {0: 10**9})
    pairs = [one if isinstance(one, tuple) else (b"i", one) for one in records]
    keys = pd.Series([key for key, _ in pairs], dtype=object)
    values = pd.Series([raw(value) for _, value in pairs], dtype=object)
    offsets = pd.Series(range(first_offset, first_offset + len(pairs)), dtype="int64")
    partitions = pd.Series([0] * len(pairs), dtype="int32")
    return function.eval(
        keys, values, partitions, offsets, pd.Series([NOW_MS] * len(pairs))
    ), context


def events(*records):
    function, context = opened(ReadEvents)
    return function.eval(pd.Series([raw(one) for one in records], dtype=object)), context


def messages(frame, column="payload"):
    return [one for text in frame[column] if text for one in unpack(MESSAGES, text)]


def test_an_item_becomes_a_reading_without_its_text():
    frame, context = items(ITEM)
    (message,) = messages(frame)
    assert isinstance(message, ItemRead)
    assert (message.item, message.time_ms, message.reading.encoder) == ("i", NOW_MS, "hash")
    assert len(message.reading.encoded) == 2 * 64
    assert (frame["bucket"][0], frame["targets"][0]) == (
        bucket_of("default", BUCKETS), [bucket_of("default", BUCKETS)],
    )  # fmt: skip
    assert (context.counts["texts"], context.counts["cache_misses"]) == (1, 1)


def test_title_categories_and_description_are_read():
    other = {**ITEM, "item_id": "j", "description": "A romance.", "categories": ["love"]}
    one, two, again = messages(items(ITEM, other, {**ITEM, "item_id": "k"})[0])
    assert one.content != two.content
    assert one.content == again.content, "another item with the same text"


def test_an_item_that_leaves():
    (message,) = messages(items((b"i", None))[0])
    assert message == ItemLeft(NOW_MS, "\x00i", "default", "i")


def test_a_text_of_a_user_becomes_a_reading_that_nobody_keeps():
    review = {**SEARCH, "action": "review", "item_id": "i", "event_id": "e2"}
    frame, context = events(SEARCH, review, SEARCH)
    one, two, _ = messages(frame)
    assert isinstance(one, TextRead)
    assert (one.user, one.item, one.action, two.item) == ("u", "", "search", "i")
    assert context.counts["cache_misses"] == 1, "once within a batch"
    assert "crime" not in str(frame.to_dict()) + str(one)


@pytest.mark.parametrize(
    "record",
    [b"{", {**SEARCH, "text": "  "}, {**SEARCH, "consent": False}, {**SEARCH, "action": "buy"},
     {"kind": "erase", "event_id": "x", "event_time": NOW_MS, "user_id": "u"}, None],
)  # fmt: skip
def test_what_has_no_text_or_is_no_record_is_passed_over(record):
    frame, _ = events(record)
    assert frame["reason"].tolist() == [None]
    assert frame["targets"].tolist() == [[]]


def test_what_a_model_cannot_read_is_a_dead_letter_and_the_others_go_on():
    poison, blank = {**ITEM, "title": "poison"}, {**ITEM, "title": " ", "description": None}
    frame, context = items(ITEM, poison, blank, b"{}", {**ITEM, "item_id": "j"})
    reasons = frame["reason"].tolist()
    assert reasons[1] == "in inference: refused"
    assert reasons[2].startswith("before inference: no text")
    assert [reasons[0], reasons[3], reasons[4]] == [None] * 3
    assert [one.item for one in messages(frame)] == ["i", "j"]
    assert (context.counts["failed_in"], context.counts["failed_before"]) == (1, 1)
    assert context.counts["unparsed"] == 1


def test_a_megabyte_of_text_is_cut_and_says_so():
    (message,) = messages(items({**ITEM, "description": "sea " * 250_000})[0])
    assert "cut" in message.reading.fallback


def test_the_row_that_ends_a_partition_tells_every_bucket_behind_its_own_message():
    frame, _ = items(ITEM, {**ITEM, "item_id": "j"}, {**ITEM, "item_id": "k"}, ends={0: 2})
    assert [len(targets) for targets in frame["targets"]] == [1, BUCKETS, 1]
    end = CaughtUp(0, "", "hash", 0, 1)
    assert messages(frame.iloc[1:2], "shared") == [end]
    own = messages(frame.iloc[1:2])
    assert (own[0].item, own[1]) == ("j", end)


def test_a_record_that_is_refused_ends_a_partition_too():
    frame, _ = items(b"{", ends={0: 1})
    assert messages(frame, "shared") == [CaughtUp(0, "", "hash", 0, 1)]


def test_an_end_is_told_once():
    opening = opened(ReadItems, {0: 1})
    assert messages(items(ITEM, opening=opening)[0], "shared")
    assert not messages(items(ITEM, first_offset=5, opening=opening)[0], "shared")


def test_a_catalogue_that_was_empty_is_read_at_once():
    opening = opened(ReadItems, {})
    assert messages(items(ITEM, opening=opening)[0], "shared") == [CaughtUp(0, "", "hash", -1, 1)]


def test_functions_of_one_process_share_the_model():
    made = []

    def once() -> Reader:
        made.append(make())
        return made[-1]

    for kind, first in ((ReadEvents, ()), (ReadItems, ({},))):
        function = kind(*first, name="shared", make=once, border=Border(), buckets=BUCKETS,
                        clock=lambda: NOW_MS)  # fmt: skip
        function.open(FakeContext())
        assert not function.is_deterministic()
    assert len(made) == 1
