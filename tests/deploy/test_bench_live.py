"""The bench on the real Kafka, Cassandra and Flink, small."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from deploy.bench import flat
from deploy.bench.bench import Bench, Tell, run_on
from deploy.bench.cohorts import GROUPS
from deploy.bench.console import kind_of
from deploy.bench.options import BenchError, BenchOptions, Shape, Synthetic
from deploy.bench.report import Report
from deploy.cluster import TERMINAL, Cluster
from deploy.stack import Stack

pytestmark = pytest.mark.stack

FEW = Synthetic(users=60, items=80, clusters=8)


def silent(text: str, done: float | None = None, total: float | None = None) -> None:
    pass


def run(stack: Stack, tell: Tell = silent, **options: Any) -> Report:
    chosen = BenchOptions(synthetic=FEW, sample_s=1.0, sets=["settle_ms=1000"], **options)
    before, kept = outcomes(stack), checkpoints(stack)
    report = run_on(Bench(stack, chosen, tell), kind_of(chosen))
    assert all(job.state in TERMINAL for job in Cluster(stack.flink_rest_url).jobs())
    assert bench_topics(stack) == []
    assert outcomes(stack) == before, "a job would learn from the users of a benchmark"
    assert checkpoints(stack) <= kept, "each benchmark would leave some hundred megabytes"
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    return report


def bench_topics(stack: Stack) -> list[str]:
    from confluent_kafka.admin import AdminClient

    topics = AdminClient({"bootstrap.servers": stack.kafka_bootstrap}).list_topics(timeout=10)
    return [name for name in topics.topics if "bench" in name]


def checkpoints(stack: Stack) -> set[Path]:
    """Files of all checkpoints on disk."""
    return {path for path in stack.layout.checkpoints.rglob("*") if path.is_file()}


def outcomes(stack: Stack) -> list[int]:
    """Ends of the partitions of the wire contract's topic."""
    topic = "headwater.outcomes"
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap, "group.id": "bench-test"})
    numbers = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)[1]
        for number in sorted(numbers)
    ]
    consumer.close()
    return ends


def test_every_event_arrives_once_while_no_other_bench_may_run(
    stack: Stack,
) -> None:
    def tell(text: str, done: float | None = None, total: float | None = None) -> None:
        if text == "sending 50 events/s for 10 s":
            other = BenchOptions(synthetic=FEW)
            with pytest.raises(BenchError, match="Flink runs headwater-recommend"):
                run_on(Bench(stack, other, silent), kind_of(other))
            refused.append(text)

    refused: list[str] = []
    report = run(stack, tell, rate=50.0, seconds=10.0, warmup=200, lead_in_s=4.0)
    assert len(refused) == 1
    found, whole = report.measurement, report.completeness
    assert found is not None
    assert found.freshness is not None
    assert (found.throughput.events, whole.complete) == (500, True)
    # Markers before and after, and the probes, are events too.
    assert whole.sent == whole.counted > 200 + 200 + 500 + found.freshness.probes_sent
    assert found.freshness.probes.count == found.freshness.probes_sent >= 19
    # What led in may still be under way.
    assert 0 < found.freshness.sink.count <= 200 + 500 + found.freshness.probes_sent + 8
    assert {"kafka", "cassandra", "jobmanager", "taskmanager-1", "generator"} <= set(
        found.cost.processes
    )
    stages = found.cost.stages
    assert stages["ranking"].busy_us > 0
    # Counters are published one by one: a list may be in one of the first sample, not in the other.
    assert abs(stages["sink"].counts["lists"] - found.freshness.sink.count) <= 200
    assert len(found.thirds) == 3
    assert report.failures == ""


def test_a_backlog_is_worked_off(stack: Stack) -> None:
    report = run(stack, drain=2000, warmup=500)
    assert report.drain is not None
    # All of them may be one batch.
    assert report.drain.per_s is None or report.drain.per_s > 0
    assert report.drain.backlog == 2500
    assert [passed for _, passed in report.drain.progress][-1] >= 2500
    assert report.completeness.complete


def test_groups_are_compared(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "_IDLE_S", 3.0)
    shape = Shape(
        rate_per_s=40.0, phase_s=3.0, rounds=1, age_s=5.0, active=4, per_user=5, heavy=60, full=25,
        light=4, items=200, popular=10, builders=20,
    )  # fmt: skip
    report = run(stack, flat=True, shape=shape)
    assert report.flat is not None
    assert [group.name for group in report.flat.groups] == list(GROUPS)
    assert all(group.events >= 120 for group in report.flat.groups)
    assert all(ratios["busy"] for ratios in report.flat.ratios.values())
    assert report.completeness.complete
