"""What is measured and with which load: typed, checked, written into the report."""

from typing import Annotated

from msgspec import Meta, Struct, field

from deploy.errors import HeadwaterError

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]


class BenchError(HeadwaterError):
    """A measurement cannot be made, or did not come to its end."""


class Synthetic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The made-up population.

    Item popularity is Zipf: the share of the item of rank r is proportional to r ** -zipf.
    Items belong to clusters, users prefer a few of them, so that which items occur together
    is no accident. Users act in sessions; some come far more often than others.

    Attributes:
        seed: Everything follows from it and from the rate.
        users: Their number.
        items: Their number.
        clusters: Groups of items.
        zipf: Exponent of the items' popularity; 0 means all alike.
        user_zipf: The same for how often users come.
        clusters_per_user: Clusters a user prefers, the first most: shares 1, 1/2, 1/3, ...
        loyalty: Share of events inside the preferred clusters; the others go anywhere.
        session_events: Mean number of events of a session, geometrically distributed.
        gap_s: Mean time between two events of a session, exponentially distributed.
        actions: Relative frequency of each action.
    """

    seed: int = 1
    users: Count = 20_000
    items: Count = 5_000
    clusters: Count = 50
    zipf: Annotated[float, Meta(ge=0)] = 0.8
    user_zipf: Annotated[float, Meta(ge=0)] = 0.5
    clusters_per_user: Count = 3
    loyalty: Share = 0.85
    session_events: Annotated[float, Meta(ge=1)] = 4.0
    gap_s: Positive = 5.0
    actions: dict[str, float] = field(
        default_factory=lambda: {
            "view": 60.0, "click": 22.0, "like": 6.0, "favourite": 3.0, "cart": 5.0,
            "purchase": 2.5, "hide": 0.5, "search": 1.0,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.clusters_per_user <= self.clusters <= self.items:
            msg = (
                f"clusters_per_user {self.clusters_per_user}, clusters {self.clusters}, "
                f"items {self.items}: each is at most the next"
            )
            raise ValueError(msg)


class BenchOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call of `headwater bench`.

    Attributes:
        rate: Events a second; None searches for the highest that the system keeps up with.
        seconds: Length of a measurement at one rate.
        drain: Events put into the topic before the job starts; 0 measures at a rate instead.
        flat: Measure that cost does not grow with history, popularity or age.
        warmup: Events before the measurement, at full speed; None means ten a user.
        synthetic: The made-up population.
        source: Data set to send instead.
        sets: Settings of the job, `key=value`.
        probes_per_s: Events of new users whose rows are waited for, a second.
        poll_ms: Between two looks for such a row.
        sample_s: Between two looks at counters and CPU.
        p99_limit_ms: A rate with slower rows is not kept up with.
        step_s: How long a search holds a rate.
        patience_s: How long to wait for what was sent to be served.
        keep: Leave topics and item rows.
    """

    rate: Positive | None = 1000.0
    seconds: Positive = 60.0
    drain: Annotated[int, Meta(ge=0)] = 0
    flat: bool = False
    warmup: Annotated[int, Meta(ge=0)] | None = None
    synthetic: Synthetic = field(default_factory=Synthetic)
    source: str | None = None
    sets: list[str] = []
    probes_per_s: Positive = 2.0
    poll_ms: Positive = 10.0
    sample_s: Positive = 5.0
    p99_limit_ms: Positive = 1000.0
    step_s: Annotated[float, Meta(ge=20)] = 20.0
    patience_s: Positive = 600.0
    keep: bool = False

    @property
    def warmup_events(self) -> int:
        """Events before the measurement."""
        return self.synthetic.users * 10 if self.warmup is None else self.warmup
