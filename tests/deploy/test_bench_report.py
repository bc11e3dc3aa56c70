import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from deploy.bench.arithmetic import Cost, ProcessCost, StageCost, TaskCost, Third
from deploy.bench.counters import Latencies
from deploy.bench.drain import rate_after
from deploy.bench.generate import Sent
from deploy.bench.options import BenchOptions
from deploy.bench.report import (
    Drain,
    Flat,
    Freshness,
    Group,
    Measurement,
    Report,
    Search,
    Step,
    Throughput,
)
from deploy.bench.search import highest, objections
from deploy.bench.settled import Completeness
from deploy.bench.show import show
from deploy.bench.speed import pass_ns, usual_pass_ns
from deploy.bench.usage import Machine, code_digest, machine
from deploy.stack import StackSettings
from jobs.settings import Recommend

COST = Cost(
    seconds=60.0, events=60_000, cpu_s_per_1000=1.5, taskmanager_cpu_s_per_1000=1.0,
    processes={"taskmanager-1": ProcessCost(cpu_s=60, cpu_s_per_1000=1, rss_bytes=2**31)},
    others_share=0.25, stolen_share=0.01, load_1m=1.5,
    stages={
        "ranking": StageCost(
            messages=90_000, batches=900, busy_us=3e7, busy_us_per_event=500, counts={"late": 2}
        )
    },
    tasks={"ranking": TaskCost(busy=0.5, backpressured=0.1)},
    threads={"ranking": 30.0},
)  # fmt: skip


def measured(
    rate: float = 1000.0,
    p99_ms: float | None = 400.0,
    lag: tuple[tuple[float, float], ...] = ((0, 0), (30, 5), (60, 6)),
    late_ms: float = 3.0,
) -> Measurement:
    latencies = Latencies(
        count=60_000, mean_ms=210, p50_ms=200, p95_ms=300, p99_ms=p99_ms, within_1s=0.999
    )
    return Measurement(
        offered_per_s=rate,
        sent=Sent(events=60_000, late_p99_ms=late_ms, late_max_ms=9.0),
        throughput=Throughput(events=60_000, seconds=60.4, per_s=993.0, caught_up_s=0.4),
        freshness=Freshness(sink=latencies, probes=latencies, probes_sent=120, probes_lost=0),
        cost=COST,
        thirds=[
            Third(
                seconds=20, events=20_000, taskmanager_cpu_s_per_1000=1.0,
                busy_us_per_event={"ranking": 500.0}, others_share=0.2,
            )
        ]
        * 3,
        lag=list(lag),
        pass_ns=61.4,
    )  # fmt: skip


def reported(**kinds: object) -> Report:
    return Report(
        kind="rate", started_at="2026-01-01T00:00:00+00:00", tenant="bench-1",
        machine=Machine(
            cores=2, cpu="Some CPU", pass_ns=30.0, memory_bytes=2**34, system="Linux", code="0123",
            versions={"headwater": "0.1.0"},
        ),
        options=BenchOptions(), stack=StackSettings(), job=Recommend(),
        generator_per_s=50_000.0, warmup_events=1000, warmup_per_s=1200.0,
        completeness=Completeness(users=10, sent=100, counted=100), **kinds,
    )  # fmt: skip


GROUP = Group(
    name="full", history=30, neighbours=1000, users_of_item=40, events=6000,
    taskmanager_cpu_s_per_1000=1.0, busy_us_per_event={"ranking": 500}, others_share=0.1,
)  # fmt: skip
KINDS = {
    "measurement": measured(),
    "search": Search(
        per_s=2000.0, steps=[Step(stable=False, why="p99 of sink", measurement=measured())]
    ),
    "drain": Drain(
        backlog=1000,
        started_s=9.0,
        per_s=3000.0,
        progress=[(0.0, 1.0)],
        cost=COST,
        load_1m=1.0,
        pass_ns=61.4,
    ),
    "flat": Flat(
        groups=[GROUP], ratios={"long over full": {"cpu": 1.02, "busy": None}}, idle_cpu_per_s=0.1
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_survives_its_json_and_nothing_else_is_in_it(kind: str) -> None:
    report = reported(**{kind: KINDS[kind]})
    raw = msgspec.json.encode(report)
    assert msgspec.json.decode(raw, type=Report) == report
    fields = set(msgspec.json.schema(Report)["$defs"]["Report"]["properties"])
    assert set(msgspec.json.decode(raw)) == fields


def test_the_numbers_that_others_read_are_where_they_were() -> None:
    raw = msgspec.to_builtins(reported(measurement=measured()))
    found = raw["measurement"]
    assert raw["format"] == 1
    assert found["freshness"]["sink"]["p99_ms"] == 400.0
    assert found["throughput"]["per_s"] == 993.0
    assert found["cost"]["processes"]["taskmanager-1"]["cpu_s_per_1000"] == 1
    assert found["cost"]["stages"]["ranking"]["busy_us_per_event"] == 500
    assert raw["completeness"]["lost"] == 0
    assert raw["machine"]["cores"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_report_can_be_shown(kind: str) -> None:
    printed = io.StringIO()
    show(reported(**{kind: KINDS[kind]}), Console(file=printed, width=140))
    text = printed.getvalue()
    assert "0 lost, 0 doubled" in text
    assert {
        "measurement": "400 ms", "search": "2,000 events/s", "drain": "3,000 events/s",
        "flat": "cpu 1.02",
    }[kind] in text  # fmt: skip


def test_a_report_says_how_fast_the_cores_were() -> None:
    for kind in ("measurement", "drain"):
        printed = io.StringIO()
        show(reported(**{kind: KINDS[kind]}), Console(file=printed, width=200))
        assert "61 ns of CPU under the load, 30 ns before it" in printed.getvalue()


def test_the_speed_of_a_core_is_in_cpu_time_of_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter((5_000_000, 11_000_000))
    assert 1 < usual_pass_ns() < 10_000
    monkeypatch.setattr("deploy.bench.speed.time.thread_time_ns", lambda: next(ticks))
    assert pass_ns() == 60.0


def test_a_percentile_in_the_last_bucket_is_a_dash() -> None:
    printed = io.StringIO()
    show(reported(measurement=measured(p99_ms=None)), Console(file=printed, width=140))
    line = next(line for line in printed.getvalue().splitlines() if "histogram" in line)
    assert " -  " in line


def test_a_rate_is_kept_up_with_if_lag_and_latency_stay() -> None:
    assert objections(measured(), BenchOptions()) == ""


def test_a_rate_is_not_kept_up_with_if_the_unread_events_become_more() -> None:
    growing = measured(lag=((0, 0), (10, 300), (30, 900), (50, 1500), (60, 1800)))
    assert "more events unread" in objections(growing, BenchOptions())


def test_a_rate_is_not_kept_up_with_if_rows_are_late_or_their_lateness_unknown() -> None:
    assert "p99 of sink 1100 ms" in objections(measured(p99_ms=1100.0), BenchOptions())
    assert "p99 of sink None ms" in objections(measured(p99_ms=None), BenchOptions())
    assert objections(measured(p99_ms=1100.0), BenchOptions(p99_limit_ms=1200.0)) == ""


def test_a_generator_that_is_late_itself_proves_nothing() -> None:
    assert "the generator was 600 ms late" in objections(measured(late_ms=600.0), BenchOptions())


@pytest.mark.parametrize("limit", [70.0, 990.0, 1000.0, 3333.0, 47_000.0])
def test_the_search_comes_close_to_the_limit_from_below(limit: float) -> None:
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest(holds)
    assert found is not None
    assert limit / 1.1 <= found <= limit
    assert len(tried) <= 12


def test_a_system_that_holds_nothing_has_no_rate() -> None:
    assert highest(lambda _: False) is None


def test_the_rate_of_a_backlog_is_that_behind_the_warm_up() -> None:
    points = [(0.0, 0.0), (10.0, 1000.0), (11.0, 2000.0), (13.0, 5000.0)]
    assert rate_after(points, 1000) == pytest.approx(4000 / 3)
    assert rate_after(points, 0) == pytest.approx(5000 / 13)


def test_the_rate_of_a_backlog_in_leaps_has_the_time_of_each_leap() -> None:
    points = [(0.0, 100.0), (9.0, 900.0), (29.0, 2900.0), (30.0, 5000.0)]
    assert rate_after(points, 1000) == pytest.approx(4000 / 20)
    assert rate_after(points, 50) == pytest.approx(4900 / 30)


def test_one_look_at_a_backlog_gives_no_rate() -> None:
    assert rate_after([(13.0, 5000.0)], 0) is None


def test_the_machine_and_the_code_are_described(tmp_path: Path) -> None:
    found = machine()
    assert found.cores >= 1
    assert {"headwater", "apache-flink", "python", "kafka", "cassandra"} <= found.versions.keys()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.py").write_text("x = 1\n")
    first = code_digest(tmp_path)
    assert first == code_digest(tmp_path)
    (tmp_path / "jobs" / "a.py").write_text("x = 2\n")
    assert code_digest(tmp_path) != first
