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


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the groups.

    Attributes:
        rate_per_s: Events a second in each phase.
        phase_s: Length of a phase.
        rounds: Phases of each group, in turn with the others, so that a drift hits all alike.
        age_s: Length of the run whose thirds are compared.
        active: Users that are active at a time.
        per_user: Events of a user in a phase, where users take turns.
        heavy: History of the users with the longest one.
        full: History that just fills what the job keeps at hand of a user.
        light: A short history.
        items: Items that all users' events go to unless said otherwise.
        popular: Items that most users of the warm-up have touched.
        builders: Users of the warm-up who touched them.
    """

    rate_per_s: Annotated[float, Meta(gt=0)] = 150.0
    phase_s: Annotated[float, Meta(gt=0)] = 20.0
    rounds: Annotated[int, Meta(ge=1, le=9)] = 2
    age_s: Annotated[float, Meta(ge=0)] = 180.0
    active: Count = 40
    per_user: Count = 10
    heavy: Count = 5_000
    full: Count = 30
    light: Count = 10
    items: Count = 8_000
    popular: Count = 50
    builders: Count = 600

    def __post_init__(self) -> None:
        turns = self.rounds * self.phase_events + self.age_events
        needed = self.heavy + -(-turns // self.active)
        if needed > self.items or self.full + self.per_user > min(self.items, 10_000):
            msg = f"items is {self.items}: a user with a long history touches {needed} of them"
            raise ValueError(msg)
        if self.per_user > self.popular:
            msg = f"per_user {self.per_user} is more than the {self.popular} popular items"
            raise ValueError(msg)

    @property
    def phase_events(self) -> int:
        """Events of one phase."""
        return round(self.rate_per_s * self.phase_s)

    @property
    def age_events(self) -> int:
        """Events of the long run."""
        return round(self.rate_per_s * self.age_s)

    @property
    def cohort(self) -> int:
        """Users of a phase in which users take turns: whole sets of active ones."""
        sets = -(-self.phase_events // (self.active * self.per_user))
        return sets * self.active


class BenchOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call of `headwater bench`.

    Attributes:
        rate: Events a second; None searches for the highest that the system keeps up with.
        seconds: Length of a measurement at one rate.
        drain: Events put into the topic before the job starts; 0 measures at a rate instead.
        flat: Measure that cost does not grow with history, popularity or age.
        warmup: Events before the measurement, at full speed; None means ten a user.
        lead_in_s: How long the rate is held between the warm-up and the measurement: the JVMs
            compile for two minutes after a start, and what was sent at full speed works on.
        synthetic: The made-up population.
        source: Data set to send instead.
        sets: Settings of the job, `key=value`.
        probes_per_s: Events of new users whose rows are waited for, a second.
        poll_ms: Between two looks for such a row; freshness comes out late by half of it.
        sample_s: Between two looks at counters and CPU.
        p99_limit_ms: A rate with slower rows is not kept up with.
        step_s: How long a search holds a rate.
        patience_s: How long to wait for what was sent to be served.
        shape: Of the groups that `flat` compares.
        keep: Leave topics and item rows.
    """

    rate: Positive | None = 1000.0
    seconds: Positive = 60.0
    drain: Annotated[int, Meta(ge=0)] = 0
    flat: bool = False
    warmup: Annotated[int, Meta(ge=0)] | None = None
    lead_in_s: Annotated[float, Meta(ge=0)] = 0.0
    synthetic: Synthetic = field(default_factory=Synthetic)
    source: str | None = None
    sets: list[str] = []
    probes_per_s: Positive = 2.0
    poll_ms: Positive = 25.0
    sample_s: Positive = 5.0
    p99_limit_ms: Positive = 1000.0
    step_s: Annotated[float, Meta(ge=20)] = 20.0
    patience_s: Positive = 600.0
    shape: Shape = field(default_factory=Shape)
    keep: bool = False

    @property
    def warmup_events(self) -> int:
        """Events before the measurement."""
        return self.synthetic.users * 10 if self.warmup is None else self.warmup
