"""Counters that make a histogram."""

import pytest

from operators.flink.metrics import LATENCY_BOUNDS_MS, LatencyCounters, StageMetrics
from tests.flink.fakes import FakeContext


@pytest.mark.parametrize(
    ("value_ms", "within"),
    [
        (0, LATENCY_BOUNDS_MS),
        (50, LATENCY_BOUNDS_MS),
        (51, LATENCY_BOUNDS_MS[1:]),
        (1000, (1000, 2000, 5000, 10_000, 60_000)),
        (1001, (2000, 5000, 10_000, 60_000)),
        (60_000, (60_000,)),
        (60_001, ()),
        (-5, LATENCY_BOUNDS_MS),
    ],
)
def test_a_latency_counts_in_every_bucket_it_fits(value_ms, within):
    context = FakeContext()
    LatencyCounters(context, "fresh").observe(value_ms)
    bounds = {f"fresh_le_{bound}" for bound in within}
    assert {name for name, n in context.counts.items() if "_le_" in name and n} == bounds
    assert context.counts["fresh_count"] == 1
    assert context.counts["fresh_sum_ms"] == max(0, value_ms)


def test_the_counters_of_a_histogram_add_up():
    context = FakeContext()
    counters = LatencyCounters(context, "fresh")
    for value_ms in (10, 150, 150, 90_000):
        counters.observe(value_ms)
    assert (context.counts["fresh_le_100"], context.counts["fresh_le_200"]) == (1, 3)
    assert (context.counts["fresh_le_60000"], context.counts["fresh_count"]) == (3, 4)
    assert context.counts["fresh_sum_ms"] == 90_310


def test_a_stage_reports_batches_messages_time_and_its_own_counts():
    context = FakeContext()
    metrics = StageMetrics(context, "history")
    metrics.batch(7, 2_500_000)
    metrics.batch(0, 500)
    metrics.count("duplicates", 2)
    metrics.count("duplicates", 1)
    assert context.counts == {"batches": 2, "messages": 7, "busy_us": 2500, "duplicates": 3}
