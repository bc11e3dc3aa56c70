"""When buckets say what they hold back: one after the other, and each of them in its turn."""

import pytest

from operators.flink.settling import Settling
from tests.flink.fakes import FakeContext


def timers_at(now_ms: int) -> FakeContext:
    timers = FakeContext()
    timers.processing_ms = now_ms
    return timers


def times(settling: Settling, now_ms: int, buckets: int) -> list[int]:
    """When each of the buckets has its turn that has had work now."""
    timers = timers_at(now_ms)
    for timers.key in range(buckets):
        settling.worked(timers.key, timers)
    at_ms = {bucket: at_ms for at_ms, bucket in timers.timers}
    return [at_ms[bucket] for bucket in range(buckets)]


def test_buckets_of_a_stage_have_their_times_one_after_the_other():
    assert times(Settling(10_000, 4), 20_001, 4) == [30_000, 22_500, 25_000, 27_500]
    assert times(Settling(10_000, 4, 500), 20_500, 4) == [30_500, 23_000, 25_500, 28_000]
    assert len(set(times(Settling(10_000, 16), 20_000, 16))) == 16


@pytest.mark.parametrize("now_ms", [0, 2_499, 2_500, 9_999, 10_000, 1_795_788_995_184])
@pytest.mark.parametrize("offset_ms", [0, 500, 9_999, 12_000])
def test_a_time_is_ahead_within_a_period_and_known_as_one(now_ms, offset_ms):
    settling = Settling(10_000, 4, offset_ms)
    for bucket, at_ms in enumerate(times(settling, now_ms, 4)):
        assert now_ms < at_ms <= now_ms + 10_000
        assert settling.is_period(bucket, at_ms)
        assert settling.beside(bucket, at_ms) == at_ms + 1
        assert settling.beside(bucket, at_ms - 1) == at_ms - 1
        assert settling.due(bucket, at_ms) == "busy"


def test_after_a_start_a_timer_of_other_times_brings_a_bucket_to_its_own_once():
    settling, timers = Settling(10_000, 4), timers_at(20_000)
    settling.begin(1, timers)
    assert (timers.due(30_000), settling.due(1, 20_000)) == ([22_500], "")
    assert settling.due(1, 22_500) == "idle"
    settling.begin(1, timers)
    assert not timers.timers
