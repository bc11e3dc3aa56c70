"""Counters that make a histogram."""

from collections import defaultdict
from types import SimpleNamespace

import pytest

from operators.flink.metrics import (
    LATENCY_BOUNDS_MS,
    TOLD_EVERY_MS,
    Coverage,
    CpuCounter,
    LatencyCounters,
    StageMetrics,
)
from operators.stage import labelled
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
    metrics.batch(7, 2_500_900)
    metrics.count("duplicates", 2)
    metrics.count("duplicates", 1)
    metrics.batch(0, 500)
    metrics.tell()
    assert context.counts == {"batches": 2, "messages": 7, "busy_us": 2501, "duplicates": 3}


def test_counts_of_quick_batches_are_told_together_and_none_is_lost():
    context, now_ms = FakeContext(), [1000]
    metrics = StageMetrics(context, "history", (), lambda: 1_000_000 * now_ms[0])
    told = []
    for now_ms[0] in (1000, 1000 + TOLD_EVERY_MS - 1, 1000 + TOLD_EVERY_MS, 2001, 2002):
        metrics.batch(1, 0)
        told.append((context.counts["batches"], metrics.waiting))
    assert told == [(1, False), (1, True), (3, False), (4, False), (4, True)]
    metrics.tell()
    assert (context.counts["batches"], metrics.waiting) == (5, False)


def test_a_labelled_count_is_one_counter_for_each_value_of_the_label():
    groups = defaultdict(FakeContext)
    context = FakeContext()
    context.add_group = lambda name, value: groups[name, value] if name != "stage" else context
    metrics = StageMetrics(context, "ranking")
    for name in ("frozen", "popular", "frozen"):
        metrics.count(labelled("shadow", name, "hits_10"), 2)
    metrics.tell()
    assert groups["shadow", "frozen"].counts == {"hits_10": 4}
    assert groups["shadow", "popular"].counts == {"hits_10": 2}


def test_what_the_tables_count_is_reported_once():
    context = FakeContext()
    tables = [SimpleNamespace(reads=5, misses=2, evictions=0)] * 2
    metrics = StageMetrics(context, "history", tables)
    metrics.tell()
    metrics.tell()
    tables.append(SimpleNamespace(reads=1, misses=1, evictions=3))
    metrics.tell()
    assert context.counts == {"reads": 11, "misses": 5, "evictions": 3}


def test_two_functions_of_a_process_share_its_cpu_time_and_count_none_of_it_twice():
    contexts = [FakeContext(), FakeContext()]
    one, two = (CpuCounter(context) for context in contexts)
    one.charge()
    before = contexts[0].counts["cpu_us"]
    sum(range(3_000_000))
    two.charge()
    one.charge()
    spent = contexts[1].counts["cpu_us"]
    assert spent > 5_000
    assert contexts[0].counts["cpu_us"] - before < spent


@pytest.mark.parametrize("items", [0, 1, 500, 20_000])
def test_coverage_counts_different_items_to_a_hundredth(items):
    coverage = Coverage()
    for _ in range(2):
        coverage.see((f"item-{n}" for n in range(items)), now_s=1_000)
    assert coverage.items() == pytest.approx(items, rel=0.01, abs=0.5)


def test_coverage_forgets_what_was_listed_before_the_last_window():
    coverage = Coverage(window_s=60)
    coverage.see(["a", "b", "c"], now_s=60)
    coverage.see(["d"], now_s=120)
    assert coverage.items() == 3
    coverage.see(["d"], now_s=180)
    assert coverage.items() == 1
    coverage.see(["a", "b"], now_s=600)
    assert coverage.items() == 2
