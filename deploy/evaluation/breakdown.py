"""The headline number by kinds of rows: what the lists are good at, and what not."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct

from deploy.evaluation.intervals import Bootstrap, Estimate
from deploy.evaluation.judged import NO_SOURCE, Flags, Ints, Judged
from deploy.evaluation.metrics import gains, hits, mean
from operators.messages import SOURCES

STEPS = (0, 1, 5, 20, 100)
"""Lower bounds of the groups by earlier users of an item, or earlier likes of a user."""

TIME_BINS = 24


class Group(Struct, frozen=True):
    """One kind of rows: how many, and how often the list foresaw them."""

    name: str
    rows: int
    hr: Estimate
    ndcg: float


class Moment(Struct, frozen=True):
    """One stretch of time with as many rows as the others."""

    from_ms: int
    to_ms: int
    rows: int
    hr: Estimate
    ndcg: float


class SourceShare(Struct, frozen=True):
    """What one source of candidates contributes: hits, and all ranked places of chosen items."""

    source: str
    hits: int
    share_of_hits: float
    ranked: int


def by_steps(judged: Judged, rows: Flags, values: Ints, k: int, seed: int) -> list[Group]:
    """Groups of the rows by a count, in the order of the count."""
    bounds = [*STEPS, None]
    found = []
    for low, high in pairwise(bounds):
        assert low is not None
        inside = rows & (values >= low) & ((values < high) if high is not None else True)
        if inside.any():
            found.append(group(_span(low, high), judged, inside, k, seed))
    return found


def by_activity(judged: Judged, rows: Flags, k: int, seed: int) -> list[Group]:
    """Groups of equally many users by how much they do in all: the quiet, the usual, the busy."""
    events = np.bincount(judged.user, minlength=len(judged.users))
    present = np.unique(judged.user[rows])
    if not len(present):
        return []
    order = present[np.argsort(events[present], kind="stable")]
    found = []
    for part in np.array_split(order, min(4, len(order))):
        low, high = int(events[part].min()), int(events[part].max())
        inside = rows & np.isin(judged.user, part)
        found.append(group(_span(low, high + 1), judged, inside, k, seed))
    return found


def group(name: str, judged: Judged, rows: Flags, k: int, seed: int) -> Group:
    """One group with its interval."""
    ranks = judged.rank[rows]
    hr = Bootstrap(judged.user[rows], seed).mean(hits(ranks, k))
    return Group(name, int(rows.sum()), hr, mean(gains(ranks, k)))


def over_time(judged: Judged, rows: Flags, k: int, seed: int) -> list[Moment]:
    """The rows in order of time, cut into parts of equally many."""
    places = np.flatnonzero(rows)
    parts = np.array_split(places, min(TIME_BINS, max(1, len(places) // 50)))
    found = []
    for part in parts:
        if len(part):
            ranks, times = judged.rank[part], judged.time_ms[part]
            hr = Bootstrap(judged.user[part], seed).mean(hits(ranks, k))
            whole = mean(gains(ranks, k))
            found.append(Moment(int(times[0]), int(times[-1]), len(part), hr, whole))
    return found


def by_source(judged: Judged, rows: Flags, k: int) -> list[SourceShare]:
    """Where the hits came from."""
    ranks, sources = judged.rank[rows], judged.source[rows]
    hit, total = hits(ranks, k) > 0, max(1, int((hits(ranks, k) > 0).sum()))
    found = []
    for code in np.unique(sources[sources != NO_SOURCE]).tolist():
        mine = sources == code
        hit_here = int((hit & mine).sum())
        found.append(SourceShare(SOURCES[code], hit_here, hit_here / total, int(mine.sum())))
    return found


def by_k(ranks: Ints, lengths: Sequence[int]) -> list[dict[str, float]]:
    """Precision and recall at each length of the list."""
    rates = [(k, mean(hits(ranks, k))) for k in lengths]
    return [{"k": k, "precision": recall / k, "recall": recall} for k, recall in rates]


def _span(low: int, high: int | None) -> str:
    if high is None:
        return f"{low}+"
    return str(low) if high == low + 1 else f"{low}–{high - 1}"
