"""The four questions people ask a running Headwater, and the panels that answer them.

One description for both ways to look at it: Grafana's dashboards (`dashboards`) and the page that
Prometheus itself serves (`consoles/headwater.html`).
"""

from typing import Literal

from msgspec import Struct

STAGE = "flink_taskmanager_job_task_operator_stage_"

Unit = Literal["ms", "s", "us", "records", "per_s", "ratio", "cores", "bytes", "count"]


class Panel(Struct, frozen=True, kw_only=True):
    """One thing to look at.

    Attributes:
        title: What it shows.
        meaning: One sentence: what is good, what to do if it is not.
        queries: PromQL by legend; a legend of the form `$label` stands for the series' label.
        unit: Of the values.
        warn: From here on it is worth a look.
        alarm: From here on it is bad.
        more_is_better: Whether the two are lower bounds.
        headline: Whether its present value is shown large, above the curves.
    """

    title: str
    meaning: str
    queries: dict[str, str]
    unit: Unit
    warn: float | None = None
    alarm: float | None = None
    more_is_better: bool = False
    headline: bool = False


class Question(Struct, frozen=True, kw_only=True):
    """A dashboard."""

    name: str
    asks: str
    panels: list[Panel]


FRESHNESS = Question(
    name="freshness",
    asks="Is it fresh?",
    panels=[
        Panel(
            title="Event to row, 99 of 100", unit="ms", warn=1000, alarm=5000, headline=True,
            meaning="From the event's own time until its list can be read. Promised is a second.",
            queries={"p99": "headwater:freshness_ms:p99"},
        ),
        Panel(
            title="Records that wait", unit="records", warn=10_000, alarm=100_000, headline=True,
            meaning="In Kafka, not yet fetched. Grows: more TaskManagers, or look at the stages.",
            queries={"waiting": "headwater:lag_records:sum"},
        ),
        Panel(
            title="Event to row", unit="ms", warn=1000, alarm=5000,
            meaning="Half of the lists, 95 and 99 of 100.",
            queries={
                "p50": "headwater:freshness_ms:p50", "p95": "headwater:freshness_ms:p95",
                "p99": "headwater:freshness_ms:p99",
            },
        ),
        Panel(
            title="Events and lists", unit="per_s",
            meaning="In and out. Lists are fewer where a user acts several times in one batch.",
            queries={"events": "headwater:events:rate1m", "lists": "headwater:lists:rate1m"},
        ),
    ],
)  # fmt: skip

QUALITY = Question(
    name="quality",
    asks="Is it right?",
    panels=[
        Panel(
            title="Hits in the first ten, last hour", unit="ratio", more_is_better=True,
            headline=True,
            meaning="Of the items people newly liked: how many their list already held.",
            queries={"HR@10": "headwater:hit_ratio_10:1h"},
        ),
        Panel(
            title="Hits of shadow models, last hour", unit="ratio", more_is_better=True,
            meaning="What settings that nobody is served would have held of the same items.",
            queries={"$shadow": "headwater:shadow_hit_ratio_10:1h"},
        ),
        Panel(
            title="Lists that are not the user's own", unit="ratio", headline=True,
            meaning="Written with a reason in the row: too little is known of the user.",
            queries={"fallback": "headwater:fallback_ratio:10m"},
        ),
        Panel(
            title="Different items listed", unit="count", more_is_better=True,
            meaning="In first tens of ten minutes. Few, against the catalogue: all see the same.",
            queries={"items": "headwater:listed_items:max"},
        ),
        Panel(
            title="Dead letters", unit="per_s",
            meaning="Records that cannot be read, by reason. Talk to whoever sends them.",
            queries={"all": "sum by (job_name) (headwater:dead_letters:rate5m) "
                            "or 0 * headwater:records:rate5m",
                     "$reason": "headwater:dead_letters:rate5m"},
        ),
        Panel(
            title="Records refused and events late", unit="ratio", warn=0.01, alarm=0.1,
            meaning="Shares of all that comes in.",
            queries={"refused": "headwater:dead_letter_ratio:5m",
                     "late": "headwater:late_ratio:5m"},
        ),
        Panel(
            title="Pairs learned", unit="per_s",
            meaning="Item-to-item counts that events add; none while events come is a bug.",
            queries={"pairs": "headwater:pairs:rate1m"},
        ),
    ],
)  # fmt: skip

COST = Question(
    name="cost",
    asks="Is it cheap?",
    panels=[
        Panel(
            title="CPU for 1,000 events", unit="s", headline=True,
            meaning="JVM, embedded Python and its worker processes. Should stay flat for ever.",
            queries={"CPU": "headwater:cpu_s_per_1000_events:5m"},
        ),
        Panel(
            title="CPU in use", unit="cores", headline=True,
            meaning="Of all TaskManagers and their Python.",
            queries={"cores": "sum(headwater:cpu_cores:5m)"},
        ),
        Panel(
            title="Busy stages", unit="cores", warn=0.7, alarm=0.9,
            meaning="Python time a second. All stages of one TaskManager share one core's lock.",
            queries={"$stage": "headwater:stage_busy_cores:1m"},
        ),
        Panel(
            title="Time of a message", unit="us",
            meaning="By stage, its state included. Rises with cache misses and thin batches.",
            queries={"$stage": "headwater:stage_us_per_message:5m"},
        ),
        Panel(
            title="Messages in a batch", unit="count",
            meaning="A stage that is busy most of its time gathers more; see hold_max_ms.",
            queries={"$stage": "headwater:batch_fill:5m"},
        ),
        Panel(
            title="Cache hits", unit="ratio", more_is_better=True,
            meaning="Values found decoded in memory; raise cache_entries if there is room.",
            queries={"$stage": "headwater:cache_hit_ratio:5m"},
        ),
        Panel(
            title="Forgotten by the caches", unit="per_s",
            meaning="Decoded values that made room for others.",
            queries={"$stage": "headwater:evictions:rate5m"},
        ),
        Panel(
            title="Texts read", unit="per_s",
            meaning="By the models of understand.",
            queries={"texts": "headwater:texts:rate1m"},
        ),
        Panel(
            title="Time of a text", unit="us",
            meaning="In the models, on whatever they run. Longer texts and misses cost more.",
            queries={"text": "headwater:text_us:5m"},
        ),
        Panel(
            title="Texts known already", unit="ratio", more_is_better=True,
            meaning="The same words as before: no model was asked.",
            queries={"hits": "headwater:text_cache_hit_ratio:5m"},
        ),
        Panel(
            title="State", unit="bytes",
            meaning="Live data and write buffers of RocksDB; grows with users and items.",
            queries={"$operator_name": "headwater:state_bytes:sum"},
        ),
        Panel(
            title="Entries of the state", unit="count",
            meaning="As RocksDB estimates them: an entry written twice since a flush counts twice.",
            queries={"$operator_name": "headwater:state_entries:sum"},
        ),
    ],
)  # fmt: skip

HEALTH = Question(
    name="health",
    asks="Is it well?",
    panels=[
        Panel(
            title="Jobs that run", unit="count", more_is_better=True, alarm=1,
            headline=True,
            meaning="Fewer than were submitted: headwater status, then the JobManager's log.",
            queries={"running": "sum(flink_jobmanager_numRunningJobs)"},
        ),
        Panel(
            title="Restarts in ten minutes", unit="count", warn=1, alarm=4, headline=True,
            meaning="Each goes back to the last checkpoint. The reason is on Flink's own page.",
            queries={"restarts": "headwater:restarts:10m"},
        ),
        Panel(
            title="Since the last checkpoint", unit="s", warn=120, alarm=600, headline=True,
            meaning="What a failure now would repeat.",
            queries={"age": "headwater:checkpoint_age_s:max"},
        ),
        Panel(
            title="Checkpoints take", unit="ms",
            meaning="Longer than their interval: the job does little else.",
            queries={"duration": "flink_jobmanager_job_lastCheckpointDuration"},
        ),
        Panel(
            title="Checkpoints hold", unit="bytes",
            meaning="Full size of the last one.",
            queries={"size": "flink_jobmanager_job_lastCheckpointFullSize"},
        ),
        Panel(
            title="TaskManagers", unit="count", more_is_better=True,
            meaning="Known to the JobManager.",
            queries={"registered": "sum(flink_jobmanager_numRegisteredTaskManagers)"},
        ),
        Panel(
            title="Writes repeated", unit="per_s", warn=1, alarm=100,
            meaning="Cassandra is slow or away.",
            queries={"retries": "headwater:sink_retries:rate5m"},
        ),
        Panel(
            title="Back pressure", unit="ratio", warn=0.5, alarm=0.9,
            meaning="Share of time that the most hindered task waits for the next one.",
            queries={"$job_name": "headwater:backpressure_ratio:max"},
        ),
        Panel(
            title="Heap of the TaskManagers", unit="bytes",
            meaning="In use, after and between collections.",
            queries={"$tm_id": "flink_taskmanager_Status_JVM_Memory_Heap_Used"},
        ),
    ],
)  # fmt: skip

QUESTIONS = [FRESHNESS, QUALITY, COST, HEALTH]
