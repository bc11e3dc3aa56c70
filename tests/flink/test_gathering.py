"""A stage that cannot keep up gathers batches: none is lost, doubled or moved by that."""

from types import SimpleNamespace
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyflink.common import Row

from operators.flink.gathering import HELD_BYTES_MAX
from operators.flink.keyed import KeyedShell
from operators.flink.pacing import LATE_MS, Pace
from operators.flink.payload import pack, unpack
from operators.meaning import Meaning
from operators.stage import Out, StructCodec
from tests.driven import noted
from tests.flink.fakes import FakeContext, NotedStage

TEXTS = msgspec.msgpack.Decoder(list[str])
SETTLE_MS = 10_000


class Batches(NotedStage):
    """A stage that says of each batch what was in it, and how many messages came so far.

    A settlement says that too, if there were any since the one before.
    """

    name = "batches"
    codecs: ClassVar = {"count": StructCodec(int)}

    def apply(self, state, batch):
        count = (state.count.get("") or 0) + len(batch)
        state.count.put("", count)
        return [Out("rows", "", f"{'+'.join(one.item for one in batch)}={count}")]

    def settle(self, state, limit=None):
        count, told = (state.count.get(key) or 0 for key in ("", "told"))
        state.count.put("told", count)
        return [Out("rows", "", f"settled={count}")] if count > told else []


def shell_of_batches(*, journal_batches=9, event_time=False, hold_max_ms=0):
    return KeyedShell(
        Batches, buckets=1, meaning=Meaning(), cache_size=5, settle_ms=SETTLE_MS,
        journal_batches=journal_batches, event_time=event_time, hold_max_ms=hold_max_ms,
    )  # fmt: skip


class Worker:
    """One bucket of it; `hold_ms` says how long it gathers, a crash loses what is in memory."""

    def __init__(self, journal_batches=1000):
        self.context, self.journal_batches = FakeContext(), journal_batches
        self.context.key, self.hold_ms = 0, 0
        self.start()

    def start(self):
        self.shell = shell_of_batches(journal_batches=self.journal_batches)
        self.shell.open(self.context)
        self.shell._pace = SimpleNamespace(hold_ms=lambda: self.hold_ms, worked=lambda _: None)

    def batch(self, *items, hold_ms=0):
        """A late batch of these items."""
        return self.sent(dict.fromkeys(items, -2 * LATE_MS), hold_ms)

    def sent(self, times_ms, hold_ms):
        """A batch of items with their times."""
        self.hold_ms = hold_ms
        row = Row(0, pack([noted("u", item, at_ms) for item, at_ms in times_ms.items()]))
        return self.told(self.shell.process_element(row, self.context))

    def timers(self, to_ms=SETTLE_MS - 1):
        due = self.context.due(to_ms)
        return [text for at in due for text in self.told(self.shell.on_timer(at, self.context))]

    @staticmethod
    def told(rows):
        return [text for row in rows for text in unpack(TEXTS, row[2])]


def test_without_need_every_batch_is_worked_on_when_it_comes():
    worker = Worker()
    assert [worker.batch(item) for item in "ab"] == [["a=1"], ["b=2"]]


def test_gathered_batches_become_one_when_the_time_of_the_first_is_over():
    worker = Worker()
    assert [worker.batch(item, hold_ms=500) for item in "abc"] == [[], [], []]
    assert worker.timers(499) == []
    assert worker.timers(500) == ["a+b+c=3"]
    assert worker.batch("d") == ["d=4"]
    assert worker.timers() == []
    assert worker.context.counts["held"] == 3


def test_a_timer_that_is_for_something_else_leaves_it_waiting():
    worker = Worker()
    worker.batch("a", hold_ms=500)
    assert worker.told(worker.shell.on_timer(100, worker.context)) == []
    assert worker.timers(500) == ["a=1"]


def test_what_waits_goes_before_what_comes_when_there_is_time_again():
    worker = Worker()
    assert worker.batch("a", hold_ms=500) == []
    assert worker.batch("b") == ["a+b=2"]
    assert worker.context.counts["held"] == 1, "the second did not wait"


def test_a_settlement_comes_behind_what_waits():
    worker = Worker()
    worker.batch("a")
    worker.batch("b", hold_ms=2 * SETTLE_MS)
    assert worker.timers(SETTLE_MS) == ["b=2", "settled=2"]


def test_much_is_worked_on_at_once(monkeypatch):
    worker = Worker()
    monkeypatch.setattr("operators.flink.gathering.HELD_BYTES_MAX", 200)
    told = [worker.batch(f"item-{number}", hold_ms=500) for number in range(9)]
    assert any(told)
    assert not all(told)
    assert HELD_BYTES_MAX > 200


NOW_MS = 7 * SETTLE_MS + 1
LATE, FRESH = NOW_MS - LATE_MS - 1, NOW_MS - LATE_MS


@pytest.fixture
def behind():
    """A worker on which two late batches wait."""
    worker = Worker()
    worker.context.processing_ms = NOW_MS
    assert [worker.sent({item: LATE}, 1500) for item in "ab"] == [[], []]
    return worker


def test_what_is_late_waits_and_the_first_fresh_message_takes_it_along(behind):
    assert behind.sent({"d": FRESH, "c": LATE}, 1500) == ["a+b+c+d=4"]
    assert behind.timers(NOW_MS + 1500) == []


def test_late_batches_go_when_their_time_is_over(behind):
    assert behind.timers(NOW_MS + 1499) == []
    assert behind.timers(NOW_MS + 1500) == ["a+b=2"]


def test_a_late_batch_by_a_shorter_hold_shortens_the_waiting_of_those_before(behind):
    assert behind.sent({"c": LATE}, 200) == []
    assert behind.timers(NOW_MS + 199) == []
    assert behind.timers(NOW_MS + 200) == ["a+b+c=3"]


def test_what_is_fresh_does_not_wait_however_busy_the_stage_is():
    worker = Worker()
    worker.context.processing_ms = NOW_MS
    assert worker.sent({"a": FRESH}, 1500) == ["a=1"]
    assert worker.timers(NOW_MS + 1500) == []
    assert worker.shell._journal._noted[0].batches == 1, "noted once, not once more when it goes"


def test_a_fresh_message_takes_along_what_waited_before_a_crash(behind):
    behind.start()
    assert behind.sent({"c": FRESH}, 1500) == ["a+b+c=3"]


def test_a_batch_without_messages_is_no_stumbling_block():
    worker = Worker()
    assert worker.batch() == ["=0"]
    assert worker.batch("b") == ["b=1"]


def test_a_worker_that_gathers_by_the_clock_of_its_own_does_so():
    """With the real pace: a stage that works all its time, by its clock, gathers."""
    worker = Worker()
    clock = SimpleNamespace(ns=0)
    shell = shell_of_batches(hold_max_ms=500)
    shell.open(worker.context)
    shell._pace = Pace(500, lambda: clock.ns)
    worker.shell = shell
    assert worker.batch("a") == ["a=1"]
    shell._pace.worked(10**9)
    clock.ns = 10**9
    assert worker.batch("b") == []
    assert worker.timers() == ["b=2"]


@pytest.mark.parametrize("event_time", [False, True])
def test_only_a_live_stage_gathers(event_time):
    shell = shell_of_batches(event_time=event_time, hold_max_ms=500)
    assert shell._hold_max_ms == (0 if event_time else 500)


BATCHES = {"late": (1, 0), "held": (1, 700), "soon": (1, 200), "fresh": (LATE_MS, 700)}
"""Time of its item and how long late batches wait, by step."""

STEPS = st.lists(
    st.sampled_from([*BATCHES, "timer", "settle", "crash"]),
    min_size=1,
    max_size=30,
)


@given(STEPS, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_a_worker_that_starts_anew_goes_on_as_if_it_had_not(steps, journal_batches):
    steady, crashing = Worker(journal_batches), Worker(journal_batches)
    steady.context.processing_ms = crashing.context.processing_ms = LATE_MS + 2
    for number, step in enumerate(steps):
        if step == "crash":
            crashing.start()
            continue
        both = []
        for worker in (steady, crashing):
            if step in BATCHES:
                time_ms, hold_ms = BATCHES[step]
                both.append(worker.sent({f"i{number}": time_ms}, hold_ms))
            else:
                both.append(worker.timers(2 * SETTLE_MS - (step == "timer")))
        assert both[0] == both[1]
    sent = sum(step in BATCHES for step in steps)
    last = crashing.batch("last")
    assert last == steady.batch("last")
    assert last[-1].endswith(f"={sent + 1}")
