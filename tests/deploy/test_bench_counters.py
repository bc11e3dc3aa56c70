import pytest

from deploy.bench.counters import Snapshot, of_histogram, of_values, parse

HEAD = "flink_taskmanager_job_task_"
EVENTS = "Source:_KafkaSource_default_catalog_default_database_source_events____Calc_2___"
ITEMS = "Source:_KafkaSource_default_catalog_default_database_source_items____Calc_7___"


def line(name: str, value: float, task: str, stage: str = "", job: str = "j1") -> str:
    labels = f'job_id="{job}",task_name="{task}",subtask_index="0",'
    if stage:
        labels += f'stage="{stage}",'
    return f"{HEAD}{name}{{{labels}}} {value}"


PAGE = "\n".join(
    [
        f"# HELP {HEAD}operator_stage_busy_us busy_us (scope: taskmanager_job_task_operator_stage)",
        f"# TYPE {HEAD}operator_stage_busy_us gauge",
        line("operator_stage_busy_us", 40, "ranking____DataStreamToTable", "ranking"),
        line("operator_stage_messages", 4, "ranking____DataStreamToTable", "ranking"),
        line("operator_stage_messages", 9, "ranking____DataStreamToTable", "ranking", job="j0"),
        line("operator_stage_records", 100, "parse_events____DataStreamToTable", "parse"),
        line("operator_stage_records", 10, "parse_items____DataStreamToTable", "parse"),
        line("operator_pendingRecords", 33, EVENTS),
        line("operator_pendingRecords", 5, ITEMS),
        line("accumulateBusyTimeMs", 700, "ranking____DataStreamToTable"),
        line("accumulateBackPressuredTimeMs", 20, "ranking____DataStreamToTable"),
        line("accumulateBusyTimeMs", 3, EVENTS),
        line("numRecordsIn", 1, EVENTS),
        "",
    ]
)


def test_a_page_is_read_for_one_job() -> None:
    found = parse([PAGE], "j1")
    assert found.stages["ranking"] == {"busy_us": 40, "messages": 4}
    assert found.stages["parse events"] == {"records": 100}
    assert found.stages["parse items"] == {"records": 10}
    assert found.pending == 33
    assert found.vertices["ranking"] == {"busy": 700, "backpressured": 20}
    assert found.vertices["source events"]["busy"] == 3


def test_taskmanagers_are_added_up() -> None:
    found = parse([PAGE, PAGE], "j1")
    assert found.stages["ranking"]["messages"] == 8
    assert found.pending == 66


def test_growth_is_counted_from_zero_where_a_counter_is_new() -> None:
    then = Snapshot(stages={"sink": {"rows": 10}}, pending=5)
    now = Snapshot(stages={"sink": {"rows": 15, "lists": 3}, "new": {"rows": 1}}, pending=2)
    grown = now.since(then)
    assert grown.stages == {"sink": {"rows": 5, "lists": 3}, "new": {"rows": 1}}
    assert grown.pending == 2


def histogram(**counts: float) -> dict[str, float]:
    return {f"freshness_ms_{name}": value for name, value in counts.items()}


def test_percentiles_of_the_histogram_lie_inside_their_buckets() -> None:
    counts = histogram(le_100=50, le_500=90, le_1000=98, le_60000=100, count=100, sum_ms=20_000)
    found = of_histogram(counts)
    assert (found.count, found.mean_ms, found.p50_ms) == (100, 200, 100)
    assert found.p95_ms == pytest.approx(500 + 500 * 5 / 8)
    assert found.p99_ms is None
    assert found.within_1s == 0.98


def test_values_above_all_buckets_have_no_percentile() -> None:
    found = of_histogram(histogram(le_100=10, le_60000=10, count=100, sum_ms=1e9))
    assert (found.p50_ms, found.p99_ms) == (None, None)


def test_without_values_there_is_nothing() -> None:
    assert of_histogram({}).count == 0
    assert of_histogram({}).p50_ms is None
    assert of_values([]).p99_ms is None


def test_percentiles_of_values_are_values() -> None:
    found = of_values([float(n) for n in range(1000, 0, -1)])
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == (500, 950, 990, 1000)
    assert of_values([5.0]).p99_ms == 5.0
    assert of_values([500.0, 1500.0]).within_1s == 0.5
