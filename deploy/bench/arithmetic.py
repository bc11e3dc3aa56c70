"""Samples → cost an event, shares and ratios."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from msgspec import Struct, field

from deploy.bench.counters import Snapshot
from deploy.bench.usage import Usage

TASKMANAGER = "taskmanager-"
_THREADS_SHOWN = 25


class Sample(Struct, frozen=True, kw_only=True):
    """Counters and usage of a moment.

    Attributes:
        at_s: Monotonic seconds.
    """

    at_s: float
    counters: Snapshot
    usage: Usage

    @property
    def events(self) -> float:
        """Events that the first stage has worked through so far; the source reads far ahead."""
        return self.counters.stages.get("admission", {}).get("messages", 0.0)


def median_pass_ns(samples: Sequence[Sample]) -> float:
    """Median of what a pass of `speed`'s loop took, 0 without samples."""
    return median(sample.usage.pass_ns for sample in samples) if samples else 0.0


class ProcessCost(Struct, frozen=True, kw_only=True):
    """What one process used.

    Attributes:
        cpu_s: In the time that was measured.
        cpu_s_per_1000: The same for 1,000 events.
        rss_bytes: Memory at the end.
    """

    cpu_s: float
    cpu_s_per_1000: float
    rss_bytes: int


class StageCost(Struct, frozen=True, kw_only=True):
    """What one stage did; its time is that of its Python.

    Attributes:
        messages: Worked through.
        batches: They came in.
        busy_us: Time inside the stage, its state included.
        busy_us_per_event: The same for one event of the run, not for one message.
        counts: Other counters of the stage.
    """

    messages: float
    batches: float
    busy_us: float
    busy_us_per_event: float
    counts: dict[str, float]


class TaskCost(Struct, frozen=True, kw_only=True):
    """What one task of the job's graph did, by Flink's account.

    Attributes:
        busy: Share of the time that it worked, calls into Python and waiting for state included.
        backpressured: Share of the time that it waited for the next task.
    """

    busy: float
    backpressured: float


class Cost(Struct, kw_only=True):
    """What a stretch of time has cost.

    Attributes:
        seconds: Its length.
        events: Worked through.
        processes: By name; see `usage.Usage`.
        cpu_s_per_1000: Of all of them, for 1,000 events.
        taskmanager_cpu_s_per_1000: Of the TaskManagers and their Python.
        others_share: Share of the machine's cores that processes of others used meanwhile: well
            above 0, and the numbers are worse than they would be.
        stolen_share: The same of what the machine's host gave to others.
        load_1m: Load average at the end.
        stages: By name.
        tasks: By name.
        threads: CPU seconds of the TaskManagers' busiest threads, by name.
        pending: Events that were not read at the end.
    """

    seconds: float
    events: float
    processes: dict[str, ProcessCost]
    cpu_s_per_1000: float
    taskmanager_cpu_s_per_1000: float
    others_share: float
    stolen_share: float
    load_1m: float
    stages: dict[str, StageCost] = field(default_factory=dict)
    tasks: dict[str, TaskCost] = field(default_factory=dict)
    threads: dict[str, float] = field(default_factory=dict)
    pending: float = 0.0


def cost(first: Sample, last: Sample, cores: int, events: float | None = None) -> Cost:
    """What the time between two samples has cost.

    Args:
        first: At its beginning.
        last: At its end.
        cores: Of the machine.
        events: To divide by; None means those that were worked through.
    """
    seconds = last.at_s - first.at_s
    grown = last.counters.since(first.counters)
    served = last.events - first.events if events is None else events
    cpu_s = {
        name: used.cpu_s - (then.cpu_s if (then := first.usage.processes.get(name)) else 0.0)
        for name, used in last.usage.processes.items()
    }
    busy_s = last.usage.machine_busy_s - first.usage.machine_busy_s
    stolen_s = last.usage.machine_stolen_s - first.usage.machine_stolen_s
    core_s = seconds * cores
    ours = [spent for name, spent in cpu_s.items() if name.startswith(TASKMANAGER)]
    return Cost(
        seconds=seconds,
        events=served,
        processes={
            name: ProcessCost(
                cpu_s=spent,
                cpu_s_per_1000=_per_1000(spent, served),
                rss_bytes=last.usage.processes[name].rss_bytes,
            )
            for name, spent in sorted(cpu_s.items())
        },
        cpu_s_per_1000=_per_1000(sum(cpu_s.values()), served),
        taskmanager_cpu_s_per_1000=_per_1000(sum(ours), served),
        others_share=max(0.0, busy_s - sum(cpu_s.values())) / core_s if core_s else 0.0,
        stolen_share=stolen_s / core_s if core_s else 0.0,
        load_1m=last.usage.load_1m,
        stages=_stages(grown, served),
        tasks=_tasks(grown, seconds),
        threads=_threads(first.usage, last.usage),
        pending=last.counters.pending,
    )


def _per_1000(amount: float, events: float) -> float:
    return 1000 * amount / events if events > 0 else 0.0


def _stages(grown: Snapshot, events: float) -> dict[str, StageCost]:
    plain = {"messages", "batches", "busy_us"}
    return {
        name: StageCost(
            messages=counts.get("messages", counts.get("records", counts.get("rows", 0.0))),
            batches=counts.get("batches", 0.0),
            busy_us=counts.get("busy_us", 0.0),
            busy_us_per_event=counts.get("busy_us", 0.0) / events if events > 0 else 0.0,
            counts={
                key: value
                for key, value in counts.items()
                if key not in plain and not key.startswith("freshness_ms")
            },
        )
        for name, counts in grown.stages.items()
    }


def _tasks(grown: Snapshot, seconds: float) -> dict[str, TaskCost]:
    span_ms = 1000 * seconds or 1.0
    return {
        name: TaskCost(
            busy=counts["busy"] / span_ms, backpressured=counts["backpressured"] / span_ms
        )
        for name, counts in grown.vertices.items()
    }


def _threads(first: Usage, last: Usage) -> dict[str, float]:
    spent = {name: seconds - first.threads.get(name, 0.0) for name, seconds in last.threads.items()}
    ranked = sorted(spent.items(), key=lambda one: -one[1])[:_THREADS_SHOWN]
    return {name: seconds for name, seconds in ranked if seconds > 0}


def ratio(later: float, earlier: float) -> float | None:
    """Later over earlier, None if there is nothing to compare with.

    >>> ratio(3.0, 2.0), ratio(1.0, 0.0)
    (1.5, None)
    """
    return later / earlier if earlier > 0 else None


class Third(Struct, frozen=True, kw_only=True):
    """One of three parts of a run, for what changes with age."""

    seconds: float
    events: float
    taskmanager_cpu_s_per_1000: float
    busy_us_per_event: dict[str, float]
    others_share: float


def thirds(samples: Sequence[Sample], cores: int) -> list[Third]:
    """Three parts of equal length, cut at samples; empty if there are fewer than four samples."""
    if len(samples) < 4:
        return []
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    cuts = [
        min(range(len(samples)), key=lambda n: abs(samples[n].at_s - (first_s + part)))
        for part in (0.0, (last_s - first_s) / 3, (last_s - first_s) * 2 / 3, last_s - first_s)
    ]
    parts = [cost(samples[a], samples[b], cores) for a, b in pairwise(cuts)]
    return [
        Third(
            seconds=part.seconds,
            events=part.events,
            taskmanager_cpu_s_per_1000=part.taskmanager_cpu_s_per_1000,
            busy_us_per_event=busy(part.stages),
            others_share=part.others_share,
        )
        for part in parts
    ]


def busy(stages: Mapping[str, StageCost]) -> dict[str, float]:
    """Microseconds an event in each stage that counts them."""
    return {name: one.busy_us_per_event for name, one in stages.items() if one.busy_us}
