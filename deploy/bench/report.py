"""What a run writes: one typed struct, JSON."""

from msgspec import Struct, field

from deploy.bench.arithmetic import Cost, Third
from deploy.bench.counters import Latencies
from deploy.bench.generate import Sent
from deploy.bench.options import BenchOptions
from deploy.bench.settled import Completeness
from deploy.bench.usage import Machine
from deploy.stack import StackSettings
from jobs.settings import Recommend

FORMAT = 1


class Freshness(Struct, frozen=True, kw_only=True):
    """From the time an event was due to the moment its effect can be read.

    Attributes:
        sink: Of every list, by the job's own histogram, taken after Cassandra has acknowledged
            the write. A list that several events of one batch have changed counts from the last
            of them.
        probes: Of events of new users, by reading their rows; late by up to the time between two
            looks.
        probes_sent: Their number.
        probes_lost: Rows that never came.
        difference_p50_ms: Probes less sink; also `difference_p99_ms`. Large means that one of the
            two is wrong.
    """

    sink: Latencies
    probes: Latencies
    probes_sent: int
    probes_lost: int
    difference_p50_ms: float | None = None
    difference_p99_ms: float | None = None


class Throughput(Struct, frozen=True, kw_only=True):
    """Events whose effect was readable.

    Attributes:
        events: Sent.
        seconds: From the first event to the moment when rows of events behind the last one were
            readable in every partition.
        per_s: Events a second.
        caught_up_s: Of the seconds, those after the last event was sent.
    """

    events: int
    seconds: float
    per_s: float
    caught_up_s: float


class Measurement(Struct, kw_only=True):
    """One load and what became of it.

    Attributes:
        offered_per_s: Rate that it was sent at; None for a backlog.
        sent: By the generator.
        throughput: At the sink.
        freshness: None for a backlog.
        cost: Until all rows, coalesced ones included, were written.
        thirds: Of the time the load was on.
        lag: Seconds since the beginning, and events the job had not read then.
        load_1m: Load average at the beginning.
        pass_ns: CPU time of a pass of `speed`'s loop under the load, median.
    """

    offered_per_s: float | None
    sent: Sent
    throughput: Throughput
    cost: Cost
    freshness: Freshness | None = None
    thirds: list[Third] = []
    lag: list[tuple[float, float]] = []
    load_1m: float = 0.0
    pass_ns: float = 0.0


class Step(Struct, frozen=True, kw_only=True):
    """One rate of a search.

    Attributes:
        stable: Whether the system kept up.
        why: Why not.
    """

    stable: bool
    why: str
    measurement: Measurement


class Search(Struct, kw_only=True):
    """The highest rate that the system keeps up with.

    Attributes:
        per_s: That rate; None if not even the lowest was kept up with.
        steps: In the order they were tried.
    """

    per_s: float | None
    steps: list[Step]


class Drain(Struct, kw_only=True):
    """A backlog worked off.

    Attributes:
        backlog: Events in the topic when the job started, warm-up included.
        started_s: From submission to the first row.
        per_s: Events a second, after the warm-up's, by rows that were readable; None where one
            look found them all.
        progress: Seconds since the first row, and events whose rows were readable then.
        pass_ns: As in `Measurement`.
    """

    backlog: int
    started_s: float
    per_s: float | None
    progress: list[tuple[float, float]]
    cost: Cost
    load_1m: float
    pass_ns: float = 0.0


class Group(Struct, frozen=True, kw_only=True):
    """Events of one kind in the measurement of flatness.

    Attributes:
        name: What they have in common.
        history: Events of a user before them, on average.
        neighbours: Items that an item of theirs was paired with before, on average.
        users_of_item: Users of such an item, on average.
        events: Their number.
        taskmanager_cpu_s_per_1000: Without what the job needs while nothing is sent.
        busy_us_per_event: By stage.
        others_share: As in `Cost`.
    """

    name: str
    history: float
    neighbours: float
    users_of_item: float
    events: float
    taskmanager_cpu_s_per_1000: float
    busy_us_per_event: dict[str, float]
    others_share: float


class Flat(Struct, kw_only=True):
    """Whether cost grows.

    Attributes:
        groups: What was compared, each the mean of its rounds.
        ratios: Cost over cost; 1 is flat. `cpu` by CPU of the TaskManagers, `busy` by the time in
            all stages.
        idle_cpu_per_s: CPU seconds a second of the TaskManagers while nothing is sent.
    """

    groups: list[Group]
    ratios: dict[str, dict[str, float | None]]
    idle_cpu_per_s: float


class Report(Struct, kw_only=True):
    """All of one run.

    Attributes:
        format: Raised when a field changes its meaning.
        kind: `rate`, `search`, `drain` or `flat`.
        started_at: UTC, ISO 8601.
        tenant: Of the rows.
        generator_per_s: Events a second that the generator itself reached, unhindered.
        warmup_per_s: Events a second at which the warm-up was worked off.
        failures: What Flink says of failures of the job; empty if it never failed.
    """

    format: int = FORMAT
    kind: str
    started_at: str
    tenant: str
    machine: Machine
    options: BenchOptions
    stack: StackSettings
    job: Recommend
    generator_per_s: float | None = None
    warmup_events: int = 0
    warmup_per_s: float | None = None
    measurement: Measurement | None = None
    search: Search | None = None
    drain: Drain | None = None
    flat: Flat | None = None
    completeness: Completeness = field(default_factory=Completeness)
    failures: str = ""
