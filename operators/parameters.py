"""Parameters of the stages of `recommend`.

They stand apart from the stages: who reads settings, be it a command or a worker that parses, does
not load compiled loops and codecs, which takes longer than most of what a command does.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from operators.composing import Strategy
from operators.features import FEATURES, Floats, Weights


class AdmissionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of `admission`.

    Attributes:
        duplicate_ms: An event id that comes again within this span of event time is a duplicate
            (found for at least this long, forgotten after at most twice as long).
        segment_by: User attribute, or else event context, that names the segment of the popular
            lists; several joined by `+`, as in `country+device`, make one segment of all. `hour`
            is the quarter of the day, in UTC.
        user_idle_ms: A user who does nothing for this long is forgotten; what others learned from
            the user stays, as sums that name nobody.
        session_idle_ms: The same for a session without consent.
        items_max: Items kept a user. Who touches more is a robot: further items teach nothing.
    """

    duplicate_ms: int = 3_600_000
    segment_by: str = "country"
    user_idle_ms: int = 400 * 86_400_000
    session_idle_ms: int = 3_600_000
    items_max: int = 20_000


class FiguresSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of `figures`.

    Attributes:
        leaders: Items a bucket proposes for each shared list: more than the list holds, so that
            one that leaves has a successor.
        fresh_users: An item of the catalogue is fresh until so many users have touched it.
        item_idle_ms: An item that nobody touches for this long, and that the catalogue does not
            hold or has deleted, is forgotten with its pairs; a deleted one after 64 days at the
            earliest.
    """

    leaders: int = 40
    fresh_users: int = 5
    item_idle_ms: int = 400 * 86_400_000


class PairSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shapes the sums of pairs: a change starts a new state.

    Attributes:
        pair_window: How many of a user's last items a new one is paired with.
        gap_decay: Weight of a pair by the number of items between, per item.
        short_decay: The same for the short-term weight.
    """

    pair_window: Annotated[int, Meta(ge=1, le=1000)] = 20
    gap_decay: float = 0.9
    short_decay: float = 0.3


class HistorySettings(PairSettings, frozen=True, kw_only=True):
    """Parameters of `history`.

    Attributes:
        rebuild_after_ms: A user who comes back after so long has the neighbours of the last
            `pair_window` items asked for again, see `recall`; 0 for never.
    """

    rebuild_after_ms: Annotated[int, Meta(ge=0)] = 86_400_000


class ContentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of `content`.

    Attributes:
        near_max: Nearest items that are told of an item, of those its record names.
    """

    near_max: int = 20


class NeighboursSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of `neighbours`; all are used at read only, so they may change at any time.

    Attributes:
        rows_max: Neighbours kept and answered with, an item.
        forward_share: phi: 1 counts only what came after, 0 only what came before.
        damping: Strength units (10: one full like) that a pair must outweigh to count.
        similar_max: Length of the stored list of similar items.
        alike_max: Items kept that say the like of one.
        content_worth: What a cosine of 1 counts for, beside similarities.
        content_until: kappa: likes of an item at which its content counts half among its similar
            items.
        pairs_max: Pairs kept an item, about: with more, each new one pushes out the weakest of its
            segment. What an erasure takes from one that is gone stays below zero, and is the next
            to go.
    """

    rows_max: int = 100
    forward_share: float = 0.7
    damping: float = 100.0
    similar_max: int = 20
    alike_max: int = 20
    content_worth: float = 0.06
    content_until: float = 2.0
    pairs_max: int = 50_000


class PopularSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of `popular`.

    Attributes:
        list_max: Items of a shared list; twice as many are kept, so that one that leaves has a
            successor.
        rows: Whether each change is written to the table `trending`; a run that nobody reads it of
            leaves that out.
    """

    list_max: int = 20
    rows: bool = True


class InterestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the interests.

    Attributes:
        interests_max: Interests kept a user.
        same_min: Cosine to a centroid from which on an item belongs to it.
        merge_min: Cosine of two centroids from which on they may become one.
        half_life_days: Time in which importance and tags fade by half.
        memory: Items a centroid remembers: the newest moves it by at least 1/memory.
        tags_max: Tags kept a user.
    """

    interests_max: int = 10
    same_min: float = 0.35
    merge_min: float = 0.5
    half_life_days: float = 30.0
    memory: float = 20.0
    tags_max: int = 40

    def __post_init__(self) -> None:
        if not (1 <= self.interests_max <= 100 and self.half_life_days > 0 and self.memory >= 1):
            msg = (
                f"interests_max {self.interests_max} lies in 1 to 100, half_life_days "
                f"{self.half_life_days} above 0, memory {self.memory} from 1"
            )
            raise ValueError(msg)


class AccumulatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the candidate rows.

    Attributes:
        candidates_max: Rows kept a user.
        interest_rows: The largest rows of each interest, and of those that only their content
            speaks for, kept whatever the other rows are.
        decay: What is left of a row after one more event of the user.
        decay_fast: The same for the fast and the short sum.
        taste_decay: The same for the taste.
        interests: Of the clusters of a user's items.
    """

    candidates_max: int = 200
    interest_rows: int = 10
    decay: float = 0.9
    decay_fast: float = 0.6
    taste_decay: float = 0.95
    interests: InterestSettings = field(default_factory=InterestSettings)


class MoodSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the mood.

    Attributes:
        mode: What it does to lists.
        half_life_hours: Time in which it fades by half.
        strength: How far it may move the shares of interests: exp(strength) at the most.
    """

    mode: Literal["off", "match", "lift"] = "off"
    half_life_hours: float = 3.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.half_life_hours > 0:
            msg = f"`half_life_hours` is {self.half_life_hours}; a mood fades in more than 0 hours"
            raise ValueError(msg)


class RankingSettings(AccumulatorSettings, frozen=True, kw_only=True):
    """Parameters of `ranking`.

    Attributes:
        list_max: Items of a stored list: several times what is shown, so that what a reader
            excludes does not empty the page.
        surfaces: How the list of each surface is composed; by the first one outcomes are judged.
            Empty for one list, hybrid, for the surface of the sink's settings.
        mood: Of what a user feels.
        rows: Whether lists are written; a run that is read by its outcomes alone leaves that out.
    """

    list_max: int = 30
    rows: bool = True
    surfaces: Mapping[str, Strategy] = {}
    mood: MoodSettings = field(default_factory=MoodSettings)

    @property
    def strategies(self) -> Mapping[str, Strategy]:
        """By surface; the empty name is that of the sink's settings."""
        return self.surfaces or {"": Strategy()}


class Shadow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a shadow differs from the served model.

    Attributes:
        kind: `ranked` makes a list of the user's candidates. `popular` has none: it shows what a
            reader shows to somebody of whom nothing is stored, without what the user knows.
        weights: Fixed worth of features, which also order the shared row; a feature that is not
            named is worth nothing. None for those in force, with all that they learn.
        list_max: Items of its list; None for that of the ranking.
        strategy: How its list is composed; None for that of the ranking's first surface.
    """

    kind: Literal["ranked", "popular"] = "ranked"
    weights: Mapping[str, float] | None = None
    list_max: int | None = None
    strategy: Strategy | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            Weights(values=self.weights)
        if self.list_max is not None and self.list_max < 1:
            msg = f"`list_max` is {self.list_max}; 1 or more"
            raise ValueError(msg)
        if self.kind == "popular" and (self.list_max is not None or self.strategy is not None):
            msg = "`list_max` and `strategy` compose a list; kind `popular` has none of its own"
            raise ValueError(msg)

    def values(self, in_force: Floats) -> Floats:
        """Weights by `features.FEATURES`."""
        if self.weights is None:
            return in_force
        return np.array([self.weights.get(name, 0.0) for name in FEATURES])

    def settings(self, ranking: RankingSettings) -> RankingSettings:
        """The ranking's settings with what differs here, for one list."""
        first = next(iter(ranking.strategies.values()))
        return replace(
            ranking, surfaces={"": self.strategy or first},
            list_max=self.list_max or ranking.list_max,
        )  # fmt: skip


class LearningSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the learned weights.

    Attributes:
        enabled: Whether weights are learned; else those of the settings stay.
        rate: Step of AdaGrad.
        start: What its sum of squares begins with.
        period_ms: How often weights are published.
        delay_ms: In a replay, how long after the end of a period they take effect, as if they had
            gone through the job `learn` and two topics.
        snapshot: Items of a list that are kept with their features, to learn from.
    """

    enabled: bool = True
    rate: Annotated[float, Meta(gt=0)] = 0.2
    start: Annotated[float, Meta(gt=0)] = 0.01
    period_ms: Annotated[int, Meta(ge=1)] = 60_000
    delay_ms: Annotated[int, Meta(ge=0)] = 60_000
    snapshot: Annotated[int, Meta(ge=2)] = 50
