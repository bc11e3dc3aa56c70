"""The keyed shell over all stages: buckets, journal, restore, timers."""

from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyflink.common import Row

from operators.flink.keyed import RECORDS_MAX, KeyedShell
from operators.flink.meaning import Kept
from operators.flink.payload import pack, unpack
from operators.flink.settling import SOON_MS, settled_max
from operators.meaning import Meaning
from operators.messages import Listed
from operators.results import ListRow, ProfileRow
from operators.rows import Row as ResultRow
from operators.stage import Out, StructCodec, bucket_of, scoped, settle_nothing
from tests.builders import event
from tests.driven import noted
from tests.flink.fakes import FakeContext, NotedStage
from tests.graph import Graph, listed, stages
from tests.strategies import streams

BUCKETS = 3
TEXTS = msgspec.msgpack.Decoder(list[str])
ROWS = msgspec.msgpack.Decoder(list[ResultRow])
NAMES = [stage.name for stage in stages()]


def stage_named(name):
    return next(stage for stage in stages() if stage.name == name)


def shell_of(make, context, **other):
    """A shell that is open; `other` than usual for tests."""
    usual = {"buckets": 1, "meaning": Meaning(), "cache_size": 5, "journal_batches": 3,
             "settle_ms": 1000, "event_time": False}  # fmt: skip
    shell = KeyedShell(make, **{**usual, **other})
    shell.open(context)
    return shell


class Workers:
    """A shell a stage, fed window by window as the job would; `crash` loses what is in memory."""

    def __init__(self, journal_batches=4):
        self.contexts = {name: FakeContext() for name in NAMES}
        self.journal_batches = journal_batches
        self.start()

    def start(self):
        self.shells = {}
        for name, context in self.contexts.items():
            self.shells[name] = shell_of(
                partial(stage_named, name), context, buckets=BUCKETS,
                journal_batches=self.journal_batches,
            )  # fmt: skip

    crash = start

    def run(self, window):
        inbox = defaultdict(lambda: defaultdict(list))
        for record in window:
            message = record if hasattr(record, "event_id") else listed(record)
            channel = "figures" if isinstance(message, Listed) else "admission"
            owner = message.item if isinstance(message, Listed) else message.user_id
            inbox[channel][bucket_of(scoped("default", owner), BUCKETS)].append(pack([message]))
        rows = []
        for name in NAMES:
            for bucket, pieces in sorted(inbox[name].items()):
                for row in self.call(name, bucket, ",".join(pieces)):
                    if row[0] in NAMES:
                        inbox[row[0]][row[1]].append(row[2])
                    elif row[0] == "rows":
                        rows.append(row[2])
        return rows

    def call(self, name, bucket, payload):
        context = self.contexts[name]
        context.key = bucket
        return list(self.shells[name].process_element(Row(bucket, payload), context))

    def settle(self):
        rows = []
        for name, context in self.contexts.items():
            due, context.timers = sorted(context.timers), set()
            for at, key in due:
                context.key = key
                rows += [row[2] for row in self.shells[name].on_timer(at, context)]
        return rows


@given(
    streams(max_size=40),
    st.integers(1, 6),
    st.sets(st.integers(0, 20)),
    st.sets(st.integers(0, 20)),
)
@settings(max_examples=40, deadline=None)
def test_a_worker_that_starts_anew_from_its_state_goes_on_as_if_it_had_not(
    records, journal_batches, crashes, settles
):
    steady, crashing = Workers(journal_batches), Workers(journal_batches)
    for number, start in enumerate(range(0, len(records), 3)):
        window = records[start : start + 3]
        assert crashing.run(window) == steady.run(window)
        if number in settles:
            assert crashing.settle() == steady.settle()
        if number in crashes:
            crashing.crash()
    assert crashing.settle() == steady.settle()


def test_the_journal_holds_at_most_the_agreed_number_of_batches():
    workers = Workers(journal_batches=4)
    for number in range(30):
        workers.run([event("u", f"i{number}", 1000 + number)])
        for context in workers.contexts.values():
            for (_, name), stored in context.stored.items():
                if "journal" in name:
                    assert len(stored) < 4


def test_buckets_give_the_lists_of_one_bucket():
    records = [event(f"u{n % 5}", f"i{n % 7}", 1000 + n) for n in range(60)]
    workers, graph = Workers(), Graph()
    spread, single = {}, {}
    for start in range(0, 60, 4):
        window = records[start : start + 4]
        for piece in workers.run(window):
            spread.update(
                (row.user, row) for row in unpack(ROWS, piece) if isinstance(row, ListRow)
            )
        for out in graph.run(window)["rows"]:
            if isinstance(out.message, ListRow):
                single[out.message.user] = out.message
    assert spread == single


def test_timers_bring_the_profiles_of_all_buckets():
    workers = Workers()
    workers.run([event(f"u{n}", "i", 1000 + n) for n in range(9)])
    rows = [row for piece in workers.settle() for row in unpack(ROWS, piece)]
    assert {row.user for row in rows if isinstance(row, ProfileRow)} == {f"u{n}" for n in range(9)}
    assert workers.settle() == []


class Recorded(NotedStage):
    """Makes a record of every message."""

    name = "recorded"
    codecs: ClassVar = {}
    settle = staticmethod(settle_nothing)

    def apply(self, state, batch):
        return [Out("outcomes", "", one.item) for one in batch]


def test_records_go_out_in_order_some_a_row():
    context, items = FakeContext(), [f"i{number:04}" for number in range(2 * RECORDS_MAX + 1)]
    shell = shell_of(Recorded, context, records={"outcomes": lambda item: (item, "{}")})
    context.key = 0
    rows = shell.process_element(Row(0, pack([noted("u", item, 1) for item in items])), context)
    lines = [row[2].split("\n") for row in rows]
    assert [len(some) for some in lines] == [RECORDS_MAX, RECORDS_MAX, 1]
    assert [line for some in lines for line in some] == [f'"{item}"\t{{}}' for item in items]


def test_what_a_stage_counts_reaches_the_metrics():
    workers = Workers()
    one = event("u", "i", 1000)
    workers.run([one, one])
    assert workers.contexts["admission"].counts["duplicates"] == 1
    assert workers.contexts["admission"].counts["messages"] == 2


def test_counts_of_the_last_batch_of_a_burst_are_told_without_another_batch():
    workers = Workers()
    for number in range(5):
        workers.run([event("u", f"i{number}", 1000 + number)])
    counts = workers.contexts["admission"].counts
    assert counts["messages"] < 5
    workers.settle()
    assert counts["messages"] == 5


class Held(NotedStage):
    """A stage that answers a settlement with all it was told since the one before."""

    name = "held"
    codecs: ClassVar = {"names": StructCodec(str)}

    def apply(self, state, batch):
        for one in batch:
            state.names.put(one.item, one.item)
        return []

    def settle(self, state, limit=None):
        told = "+".join(state.names.all_keys())
        state.names.clear()
        return [Out("rows", told, told)]


class OneBucket:
    """A shell and its bucket; a crash, which is another start, loses what is in memory."""

    def __init__(self):
        self.context = FakeContext()
        self.context.key = 0
        self.start()


class Replayed(OneBucket):
    """By event time."""

    def start(self):
        self.shell = shell_of(Held, self.context, event_time=True)

    def batch(self, item, time_ms):
        self.context.time_ms = time_ms
        rows = self.shell.process_element(Row(0, pack([noted("u", item, time_ms)])), self.context)
        return [unpack(TEXTS, row[2]) for row in rows]

    def watermark(self, time_ms):
        due = self.context.due(time_ms)
        return [
            unpack(TEXTS, row[2]) for at in due for row in self.shell.on_timer(at, self.context)
        ]


def test_a_replay_settles_between_the_same_batches_however_far_watermarks_jump():
    batches = [("a", 999), ("b", 1999), ("c", 2999), ("d", 6999), ("e", 7999)]
    want = [["a"], ["b"], ["c"], ["d"], ["e"]]
    slow, fast, crashing = Replayed(), Replayed(), Replayed()
    steps = [told for item, at in batches for told in slow.batch(item, at) + slow.watermark(at + 1)]
    assert steps == want
    jump = [told for item, at in batches for told in fast.batch(item, at)]
    assert jump + fast.watermark(10**9) == want
    broken = []
    for item, at in batches:
        broken += crashing.batch(item, at)
        crashing.start()
    assert broken + crashing.watermark(10**9) == want


def opened(stored, meaning, warnings):
    context = FakeContext(stored)
    state = context.get_map_state(SimpleNamespace(name="figures-meaning"))
    return context, Kept(state, "figures", meaning, warnings.append)


def test_the_log_names_a_changed_setting_once_and_what_it_costs():
    warnings: list[str] = []
    context, kept = opened(None, Meaning("a", {"buckets": "3", "strengths.click": "5"}), warnings)
    for bucket in (0, 1, 0):
        context.key = bucket
        kept.look(bucket)
    assert warnings == []
    after = Meaning("b", {"buckets": "3", "strengths.click": "6"})
    context, kept = opened(context.stored, after, warnings)
    for bucket in (1, 0, 2):
        context.key = bucket
        kept.look(bucket)
    (warning,) = warnings
    assert warning.startswith("stage figures: strengths.click was 5 and is 6: ")
    assert "begins empty" in warning
    context, kept = opened(context.stored, after, warnings)
    context.key = 0
    kept.look(0)
    assert len(warnings) == 1


def test_every_shell_looks_at_what_its_state_was_made_with(caplog):
    context = FakeContext()
    context.key = 0
    for settings_of_now in ({"buckets": "1"}, {"buckets": "2"}):
        shell = shell_of(Held, context, meaning=Meaning("", settings_of_now), event_time=True)
        list(shell.process_element(Row(0, pack([noted("u", "a", 1)])), context))
    assert [record.message.split(":")[0] for record in caplog.records] == ["stage held"]


class Timed(OneBucket):
    """A live ranking whose timers fire when their time comes."""

    def start(self):
        ranking = partial(stage_named, "ranking")
        self.shell = shell_of(ranking, self.context, journal_batches=1000)

    def act(self, *users, seq=1):
        batch = pack([noted(user, "i", seq, seq=seq) for user in users])
        list(self.shell.process_element((0, batch), self.context))

    def settled(self):
        """Users whose profiles are told when the next timer fires."""
        (due,) = self.context.due(min(self.context.timers)[0])
        self.context.processing_ms = due
        rows = self.shell.on_timer(due, self.context)
        return [row.user for piece in rows for row in unpack(ROWS, piece[2])]


PIECE = settled_max(1)
USERS = [f"u{n:04}" for n in range(3 * PIECE)]
PIECES = [USERS[:PIECE], USERS[PIECE : 2 * PIECE], USERS[2 * PIECE :]]


def test_all_buckets_together_settle_as_much_whatever_their_number():
    assert [n * settled_max(n) for n in (1, 2, 4, 16)] == [800] * 4
    assert settled_max(720) == settled_max(16) == 50


def test_a_bucket_settles_piece_after_piece_quickly_while_it_is_idle():
    live, told = Timed(), []
    live.act(*USERS)
    while live.context.timers:
        told.append((live.settled(), live.context.processing_ms))
    assert told == [
        (PIECES[0], 1000), (PIECES[1], 2000), (PIECES[2], 2000 + SOON_MS), ([], 2000 + 2 * SOON_MS),
        ([], 3000),
    ]  # fmt: skip


def test_work_that_comes_meanwhile_goes_before_the_next_piece():
    live = Timed()
    live.act(*USERS)
    assert [live.settled(), live.settled()] == PIECES[:2]
    live.act(USERS[0], seq=2)
    told = []
    while live.context.timers:
        told.append((live.settled(), live.context.processing_ms))
    assert [one for one in told if one[0]] == [(PIECES[2], 3000), ([USERS[0]], 4000)]


def test_a_bucket_that_was_to_settle_at_other_times_before_a_start_still_does():
    live, told = Timed(), []
    live.act(*USERS[:5])
    live.context.timers = {(at_ms + 300, key) for at_ms, key in live.context.timers}
    live.start()
    while live.context.timers:
        told += live.settled()
    assert told == USERS[:5]


@pytest.mark.parametrize("crashes_after", range(4))
def test_a_crash_between_two_pieces_loses_none_and_tells_none_twice(crashes_after):
    live, told = Timed(), []
    live.act(*USERS)
    for number in range(12):
        if number == crashes_after:
            live.start()
        if live.context.timers:
            told += live.settled()
    assert told == USERS
    assert not live.context.timers
