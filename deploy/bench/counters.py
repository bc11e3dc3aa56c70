"""The job's counters as its TaskManagers publish them, and percentiles of its histogram."""

import re
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from prometheus_client.parser import text_string_to_metric_families

from deploy.bench.options import BenchError

_STAGE = "flink_taskmanager_job_task_operator_stage_"
_BUSY = "flink_taskmanager_job_task_accumulateBusyTimeMs"
_PRESSED = "flink_taskmanager_job_task_accumulateBackPressuredTimeMs"
_PENDING = "flink_taskmanager_job_task_operator_pendingRecords"
_WANTED = (_STAGE, _BUSY, _PRESSED, _PENDING)
_TIMEOUT_S = 20.0
_HISTOGRAM = re.compile(r"^freshness_ms_le_(\d+)$")

Counts = dict[str, float]


class Snapshot(Struct, kw_only=True):
    """Counters of a moment, summed over subtasks.

    Attributes:
        stages: Counter by stage and name; the parsers are `parse events` and `parse items`.
        vertices: Milliseconds `busy` and `backpressured` by task.
        pending: Records of the events' topic that the job has not fetched.
    """

    stages: dict[str, Counts] = field(default_factory=dict)
    vertices: dict[str, Counts] = field(default_factory=dict)
    pending: float = 0.0

    def since(self, earlier: "Snapshot") -> "Snapshot":
        """The growth of each counter; `pending` stays what it is now."""
        return Snapshot(
            stages=_minus(self.stages, earlier.stages),
            vertices=_minus(self.vertices, earlier.vertices),
            pending=self.pending,
        )


def _minus(now: Mapping[str, Counts], then: Mapping[str, Counts]) -> dict[str, Counts]:
    return {
        name: {key: value - then.get(name, {}).get(key, 0.0) for key, value in counts.items()}
        for name, counts in now.items()
    }


def scrape(ports: Iterable[int], job_id: str) -> Snapshot:
    """Ask all TaskManagers.

    Raises:
        BenchError: One does not answer.
    """
    return parse((_page(port) for port in ports), job_id)


def _page(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            text: str = answer.read().decode()
            return text
    except OSError as error:
        msg = f"no metrics at {url} ({error}): is a TaskManager down, or `metrics` off?"
        raise BenchError(msg) from error


def parse(pages: Iterable[str], job_id: str) -> Snapshot:
    """Read the metrics pages of TaskManagers, in Prometheus' text format."""
    found = Snapshot()
    for page in pages:
        # A page holds thousands of lines; the parser gets the few that matter.
        lines = [line for line in page.splitlines() if line.startswith(_WANTED) and job_id in line]
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                _add(found, sample.name, sample.labels, sample.value)
    return found


def _add(found: Snapshot, name: str, labels: Mapping[str, str], value: float) -> None:
    task = labels.get("task_name", "")
    if name == _PENDING:
        found.pending += value if "source_events" in task else 0.0
    elif name.startswith(_STAGE):
        stage = labels.get("stage", "")
        if stage == "parse":
            stage = "parse events" if "parse_events" in task else "parse items"
        counts = found.stages.setdefault(stage, {})
        key = name.removeprefix(_STAGE)
        counts[key] = counts.get(key, 0.0) + value
    else:
        counts = found.vertices.setdefault(_short(task), {"busy": 0.0, "backpressured": 0.0})
        counts["busy" if name == _BUSY else "backpressured"] += value


def _short(task: str) -> str:
    """The operators of a task that do something, without what Flink wraps them in.

    >>> _short("WindowAggregate_28_____Calc_29_____TableToDataStream_____stream_key_by")
    'WindowAggregate_28'
    >>> _short("figures_____DataStreamToTable____Calc_62___DataStreamToTable____Calc_26_")
    'figures'
    """
    source = re.search(r"source_(events|items)", task)
    if source:
        return f"source {source[1]}"
    if "written" in task:
        return "sink"
    return re.split("_{4,}", task)[0].removesuffix("_")


class Latencies(Struct, frozen=True, kw_only=True):
    """A distribution of milliseconds.

    Attributes:
        count: Values.
        mean_ms: None without values, likewise the percentiles.
        p50_ms: And so on. Of a histogram they are interpolated inside a bucket, and None where
            they lie in the last one or above.
        max_ms: None where only buckets are known.
        within_1s: Share of values of at most a second.
    """

    count: int
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    within_1s: float | None = None


def of_histogram(counts: Mapping[str, float]) -> Latencies:
    """The distribution behind the sink's cumulative counters, `freshness_ms_le_<bound>`."""
    count = round(counts.get("freshness_ms_count", 0))
    if count == 0:
        return Latencies(count=0)
    cumulated = sorted(
        (int(match[1]), value) for key, value in counts.items() if (match := _HISTOGRAM.match(key))
    )
    p50, p95, p99 = (_quantile(cumulated, count, share) for share in (0.5, 0.95, 0.99))
    return Latencies(
        count=count,
        mean_ms=counts.get("freshness_ms_sum_ms", 0) / count,
        p50_ms=p50, p95_ms=p95, p99_ms=p99,
        within_1s=dict(cumulated).get(1000, 0.0) / count,
    )  # fmt: skip


def _quantile(cumulated: Sequence[tuple[int, float]], count: int, share: float) -> float | None:
    """Interpolated as Prometheus' `histogram_quantile` does; None above the last bound but one.

    The last bucket is left out because it is wide: a guess inside it would be a number of its own.

    >>> counters = [(100, 50.0), (200, 90.0), (9000, 100.0)]
    >>> [_quantile(counters, 100, share) for share in (0.5, 0.7, 0.95)]
    [100.0, 150.0, None]
    """
    wanted, low, below = share * count, 0.0, 0.0
    for bound, upto in cumulated[:-1]:
        if upto >= wanted:
            inside = (wanted - below) / (upto - below) if upto > below else 1.0
            return low + (bound - low) * inside
        low, below = float(bound), upto
    return None


def of_values(values: Sequence[float]) -> Latencies:
    """The distribution of single values; percentiles by the nearest rank.

    >>> of_values([30.0, 10.0, 20.0]).p50_ms
    20.0
    """
    if not values:
        return Latencies(count=0)
    ranked = sorted(values)
    p50, p95, p99 = (ranked[max(0, -(-len(ranked) * n // 100) - 1)] for n in (50, 95, 99))
    return Latencies(
        count=len(ranked),
        mean_ms=sum(ranked) / len(ranked),
        p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=ranked[-1],
        within_1s=sum(value <= 1000 for value in ranked) / len(ranked),
    )  # fmt: skip
