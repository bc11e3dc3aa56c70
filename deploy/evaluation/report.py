"""Everything an evaluation says, as one struct that is written as JSON and drawn as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from deploy.evaluation import breakdown, errors, metrics, peers, popular
from deploy.evaluation.breakdown import Group, Moment, SourceShare
from deploy.evaluation.errors import Worst
from deploy.evaluation.intervals import Bootstrap, Estimate
from deploy.evaluation.judged import SHOWN, Flags, Ints, Judged
from deploy.evaluation.peers import Line, Other, Peer, StarLine
from deploy.evaluation.protocols import HEADLINE, Cuts, Protocol, selections
from deploy.evaluation.ratings import RatingErrors
from deploy.evaluation.stream import Catalogue

SHADOW, POPULARITY = "shadow", "popularity"
LENGTHS = (1, 2, 3, 5, 10, 20, 50)


class Data(Struct, frozen=True, kw_only=True):
    """What went in.

    Attributes:
        name: Of the file or folder; `format` is what it was read as.
        actions: Events by action.
        skipped: Rows that could not be read; `duplicates` had the id of an earlier one.
        dead_letters: Events that the job refused.
        moved_ms_max: How far an event's time was moved so that each has its own millisecond.
        held_out: Events moved behind all others.
    """

    name: str
    format: str
    events: int
    users: int
    items: int
    from_ms: int
    to_ms: int
    actions: dict[str, int]
    skipped: int = 0
    samples: list[str] = []
    duplicates: int = 0
    dead_letters: int = 0
    moved_ms_max: int = 0
    held_out: int = 0
    notes: list[str] = []


class How(Struct, frozen=True, kw_only=True):
    """How it was judged: the options, and the whole configuration of the job."""

    protocol: Protocol
    k: int
    window_ms: int
    seed: int
    limit: int | None
    settings: dict[str, Any]


class Headline(Struct, frozen=True, kw_only=True):
    """The measures of `metrics` on the rows of the protocol, with intervals where they matter."""

    rows: int
    users: int
    hr: Estimate
    ndcg: Estimate
    mrr: Estimate
    precision: float
    recall: float
    f1: float
    accuracy: float


class Beyond(Struct, frozen=True, kw_only=True):
    """What hits do not tell: whom the lists serve, and with what.

    Attributes:
        coverage: Share of the catalogue in any list; likewise see `metrics`.
        own_lists: Share of the rows in which the list was the user's own.
        median_age_ms: Of the lists.
    """

    coverage: float
    novelty: float
    intra_list_distance: float | None
    gini: float
    popularity_lift: float
    own_lists: float
    median_age_ms: float


class Selection(Struct, frozen=True, kw_only=True):
    """One selection of rows of the same run."""

    name: str
    rows: int
    hr: Estimate
    ndcg: Estimate


class Weight(Struct, frozen=True, kw_only=True):
    """A feature of the ranking and what it is worth."""

    feature: str
    value: float


class Report(Struct, kw_only=True):
    """See the modules that make the parts."""

    data: Data
    how: How
    headline: Headline
    beyond: Beyond
    selections: list[Selection]
    over_time: list[Moment]
    by_source: list[SourceShare]
    by_item_users: list[Group]
    by_user_likes: list[Group]
    by_activity: list[Group]
    by_k: list[dict[str, float]]
    coverage_by_k: list[dict[str, float]]
    misses: dict[str, float]
    worst_users: list[Worst]
    worst_items: list[Worst]
    models: list[Line]
    star_peers: list[StarLine] = []
    ratings: RatingErrors | None = None
    weights: list[Weight] = []
    seconds: float = 0.0
    seconds_cpu: float = 0.0


def make(
    judged: Judged,
    data: Data,
    how: How,
    catalogue: Catalogue,
    *,
    cuts: Cuts,
    given: Sequence[Peer] = (),
    ratings: RatingErrors | None = None,
    weights: Sequence[Weight] = (),
    seconds_cpu: float = 0.0,
) -> Report:
    """Measure everything; `judged` must hold at least one row."""
    chosen = selections(judged, cuts)
    rows = chosen[HEADLINE[how.protocol]]
    k, seed = how.k, how.seed
    shown = judged.shown[:, : min(k, SHOWN)]
    earlier = judged.earlier_positives()
    return Report(
        data=data, how=how, weights=list(weights), ratings=ratings, seconds_cpu=seconds_cpu,
        headline=_headline(judged, rows, data.items, k, seed),
        beyond=_beyond(judged, rows, shown, data.items, catalogue),
        selections=_selections(judged, chosen, k, seed),
        over_time=breakdown.over_time(judged, rows, k, seed),
        by_source=breakdown.by_source(judged, rows, k),
        by_item_users=breakdown.by_steps(judged, rows, judged.item_users, k, seed),
        by_user_likes=breakdown.by_steps(judged, rows, earlier, k, seed),
        by_activity=breakdown.by_activity(judged, rows, k, seed),
        by_k=breakdown.by_k(judged.rank[rows], LENGTHS),
        coverage_by_k=_coverage_by_k(judged, rows, data.items),
        misses=errors.shares(judged, rows, k),
        worst_users=errors.worst_users(judged, rows, k),
        worst_items=errors.worst_items(judged, rows, k, catalogue.titles),
        models=peers.lines(
            judged, rows, _beside(judged, rows, given, how), k, seed, seconds_cpu,
            metrics.coverage(judged.shown[rows], data.items),
        ),
        star_peers=peers.stars(given),
    )  # fmt: skip


def _headline(judged: Judged, rows: Flags, items: int, k: int, seed: int) -> Headline:
    ranks, users = judged.rank[rows], judged.user[rows]
    known = np.maximum(1, items - judged.user_events[rows])
    whole = metrics.ranking(ranks, k, metrics.mean(known.astype(np.float64)))
    hr, ndcg, mrr = Bootstrap(users, seed).means(
        [metrics.hits(ranks, k), metrics.gains(ranks, k), metrics.reciprocals(ranks, k)]
    )
    return Headline(
        rows=len(ranks), users=len(np.unique(users)), hr=hr, ndcg=ndcg, mrr=mrr,
        precision=whole["precision"], recall=whole["recall"], f1=whole["f1"],
        accuracy=whole["accuracy"],
    )  # fmt: skip


def _beyond(judged: Judged, rows: Flags, shown: Ints, items: int, catalogue: Catalogue) -> Beyond:
    shares = metrics.popularity(judged.user, judged.item, judged.first, shown)
    users = np.maximum(metrics.so_far(judged.user), 1)
    chosen = (judged.item_users / users)[rows]
    categories = [catalogue.categories.get(item, []) for item in judged.items]
    ages = judged.list_age_ms[rows]
    return Beyond(
        coverage=metrics.coverage(shown[rows], items),
        novelty=metrics.novelty(shares[rows], len(judged.users)),
        intra_list_distance=metrics.intra_list_distance(shown[rows], categories),
        gini=metrics.gini(shown[rows], items),
        popularity_lift=metrics.popularity_lift(shares[rows], chosen),
        own_lists=metrics.mean((~judged.fallback[rows]).astype(np.float64)),
        median_age_ms=float(np.median(ages[ages >= 0])) if (ages >= 0).any() else 0.0,
    )  # fmt: skip


def _selections(judged: Judged, chosen: Mapping[str, Flags], k: int, seed: int) -> list[Selection]:
    found = []
    for name, rows in chosen.items():
        ranks = judged.rank[rows]
        columns = [metrics.hits(ranks, k), metrics.gains(ranks, k)]
        hr, ndcg = Bootstrap(judged.user[rows], seed).means(columns)
        found.append(Selection(name=name, rows=len(ranks), hr=hr, ndcg=ndcg))
    return found


def _coverage_by_k(judged: Judged, rows: Flags, items: int) -> list[dict[str, float]]:
    """Coverage against hits at every length of list that was recorded."""
    return [
        {
            "k": k,
            "coverage": metrics.coverage(judged.shown[rows, :k], items),
            "hr": metrics.mean(metrics.hits(judged.rank[rows], k)),
        }
        for k in range(1, SHOWN + 1)
    ]


def _beside(judged: Judged, rows: Flags, given: Sequence[Peer], how: How) -> list[Other]:
    """What the served lists are held against: shadows, popularity, peers."""
    told = how.settings.get("shadows", {})
    found = [
        Other(name=f"{SHADOW} {name}", ranks=ranks, note=_differing(told.get(name, {})))
        for name, ranks in judged.shadows.items()
    ]
    if all(peer.name != POPULARITY for peer in given):
        by_popularity = popular.ranks(judged, rows)
        found += [] if by_popularity is None else [Other(name=POPULARITY, ranks=by_popularity)]
    return [*found, *peers.others(given, judged)]


def _differing(shadow: Mapping[str, Any]) -> str:
    """What a shadow's settings say, in a line."""
    said = {name: value for name, value in shadow.items() if value is not None}
    return ", ".join(
        f"{name} {', '.join(f'{key} {one}' for key, one in value.items()) or 'none'}"
        if isinstance(value, Mapping)
        else f"{name} {value}"
        for name, value in said.items()
    )
