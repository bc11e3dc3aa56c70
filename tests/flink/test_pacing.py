"""How long a stage gathers what is late: nothing if it keeps up, longer the more it has to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.flink.pacing import BUSY, FIRST_MS, IDLE, LOOKS_EVERY_NS, Pace


class Load:
    """A stage under a load: `share` of each period it works."""

    def __init__(self, hold_max_ms: int = 2000) -> None:
        self.now_ns = 0
        self.pace = Pace(hold_max_ms, lambda: self.now_ns)

    def looks(self, share: float, periods: int = 1) -> list[int]:
        told = []
        for _ in range(periods):
            self.pace.worked(round(share * LOOKS_EVERY_NS))
            self.now_ns += LOOKS_EVERY_NS
            told.append(self.pace.hold_ms())
        return told


def test_a_stage_that_keeps_up_gathers_nothing():
    assert set(Load().looks(BUSY, 50)) == {0}


def test_a_busy_one_gathers_twice_as_long_at_each_look_up_to_the_most():
    assert Load().looks(0.3, 7) == [FIRST_MS, 250, 500, 1000, 2000, 2000, 2000]
    assert Load(hold_max_ms=200).looks(0.9, 3) == [FIRST_MS, 200, 200]
    assert set(Load(hold_max_ms=0).looks(1.0, 10)) == {0}


def test_between_two_looks_nothing_changes():
    load = Load()
    load.looks(0.9)
    load.pace.worked(LOOKS_EVERY_NS)
    load.now_ns += LOOKS_EVERY_NS - 1
    assert load.pace.hold_ms() == FIRST_MS


def test_whatever_was_there_once_goes_away_when_the_load_can_be_borne():
    load = Load()
    load.looks(1.0, 5)
    slow = load.looks(0.2, 60)
    assert slow == sorted(slow, reverse=True)
    assert slow[:2] == [1750, 1531]
    assert slow[-1] == 0
    load.looks(1.0, 5)
    assert load.looks(IDLE, 5) == [1000, 500, 250, 125, 0]


@pytest.mark.parametrize("quiet_ns", [LOOKS_EVERY_NS + 1, 60 * LOOKS_EVERY_NS])
def test_a_batch_after_a_quiet_time_does_not_wait_however_busy_it_was_until_then(quiet_ns):
    load = Load()
    load.looks(1.0, 5)
    load.pace.worked(LOOKS_EVERY_NS)
    load.now_ns += LOOKS_EVERY_NS + quiet_ns
    assert load.pace.hold_ms() == 0
    load.now_ns += LOOKS_EVERY_NS
    assert load.pace.hold_ms() == 0


def test_work_on_a_large_batch_is_no_quiet_time():
    load = Load()
    load.looks(1.0, 5)
    assert load.looks(4.0) == [2000]


@given(st.lists(st.floats(0, 1), max_size=60), st.sampled_from([0, 500, 2000]))
def test_nothing_waits_longer_than_the_setting_says(shares, hold_max_ms):
    load = Load(hold_max_ms)
    for share in shares:
        load.looks(share)
        assert 0 <= load.pace.hold_ms() <= hold_max_ms


@pytest.mark.parametrize("capacity", [0.7, 1.5, 3.0])
def test_under_a_steady_load_it_settles(capacity):
    """Work is a fixed price a batch and one an event: gathering saves some of the first."""
    load, told = Load(), [0]
    for _ in range(200):
        batches_per_s = 10 if not told[-1] else min(10.0, 1000 / told[-1])
        told += load.looks(min(1.0, capacity * (0.3 + 0.07 * batches_per_s)))
    late = told[100:]
    assert 7 * max(late) <= 16 * max(min(late), FIRST_MS)
