"""The figures of an item: how many touched and liked it, of late and in all, and its record.

Decayed likes use forward decay (Cormode et al., ICDE 2009): an event at time t adds
2^(t/half-life) to a sum kept as its logarithm; no sweep, and items compare at any time. The sums of
strengths, likes and users are integers and exact after an erasure; the decayed ones are floats, a
cache that an erasure corrects up to rounding.
"""

from msgspec import Struct, field

from operators.messages import Leader, Signal, Withdrawn
from operators.packing import (
    EPOCH_MS,
    HOUR_MS,
    NEVER_LOG2,
    item_key,
    likes_of,
    log2_add,
    log2_subtract,
    pack_figures,
)

HALF_LIVES_MS = (HOUR_MS, 24 * HOUR_MS, 30 * 24 * HOUR_MS)
WINDOW_NAMES = ("1h", "1d", "30d")
ALL_TIME = "all_time"
FRESH = "fresh"
"""The list of items that few have touched yet, the newest first."""
SEGMENTS_MAX = 64


class ItemFigures(Struct, array_like=True):
    """What is known of one item. `likes_log2` follows `HALF_LIVES_MS`.

    Attributes:
        due_ms: When the item is forgotten unless touched again.
        deleted: The catalogue has deleted it.
        last_ms: Latest time of what was done to it and of its records.
    """

    raw: int = 0
    likes: int = 0
    users: int = 0
    likes_log2: tuple[float, float, float] = (NEVER_LOG2, NEVER_LOG2, NEVER_LOG2)
    first_ms: int | None = None
    title: str = ""
    categories: list[str] = field(default_factory=list)
    available: bool = True
    listed_ms: int = -1
    segments: dict[str, float] = field(default_factory=dict)
    due_ms: int = -1
    deleted: bool = False
    last_ms: int = -1


def count(figures: ItemFigures, signal: Signal) -> None:
    """Add what somebody did."""
    figures.raw += max(0, signal.strength - signal.old)
    figures.users += signal.first
    if figures.first_ms is None:
        figures.first_ms = signal.time_ms
    if not signal.liked:
        return
    figures.likes += 1
    hour, day, month = _terms(signal.time_ms)
    sums = figures.likes_log2
    figures.likes_log2 = (
        log2_add(sums[0], hour), log2_add(sums[1], day), log2_add(sums[2], month)
    )  # fmt: skip
    known = signal.segment in figures.segments or len(figures.segments) < SEGMENTS_MAX
    if signal.segment and known:
        old = figures.segments.get(signal.segment, NEVER_LOG2)
        figures.segments[signal.segment] = log2_add(old, month)


def withdraw(figures: ItemFigures, message: Withdrawn) -> None:
    """Take back all that somebody did."""
    figures.raw -= message.strength
    figures.users -= 1
    if message.liked_ms is None:
        return
    figures.likes -= 1
    hour, day, month = _terms(message.liked_ms)
    sums = figures.likes_log2
    figures.likes_log2 = (
        log2_subtract(sums[0], hour), log2_subtract(sums[1], day), log2_subtract(sums[2], month)
    )  # fmt: skip
    if figures.likes == 0:
        figures.likes_log2 = ItemFigures().likes_log2
    rest = log2_subtract(figures.segments.pop(message.segment, NEVER_LOG2), month)
    if rest > NEVER_LOG2 and figures.likes:
        figures.segments[message.segment] = rest


def _terms(time_ms: int) -> tuple[float, float, float]:
    """What an event adds, as logarithms to base 2, by half-life."""
    (hour_ms, day_ms, month_ms), passed_ms = HALF_LIVES_MS, time_ms - EPOCH_MS
    return passed_ms / hour_ms, passed_ms / day_ms, passed_ms / month_ms


def list_scores(figures: ItemFigures | Leader) -> dict[str, float]:
    """The shared lists an item belongs to, and what it is ordered by in each.

    All-time lists by likes, the others by the logarithm of decayed likes; lists of a category and
    of a segment use the half-life of 30 days.
    """
    likes = figures.likes if isinstance(figures, ItemFigures) else likes_of(figures.figures)
    month = figures.likes_log2[-1]
    scores = {ALL_TIME: float(likes)}
    scores.update(zip(WINDOW_NAMES, figures.likes_log2, strict=True))
    for category in figures.categories:
        scores[f"category:{category}"] = month
    for name, value in figures.segments.items():
        scores[f"segment:{name}"] = value
    return scores


def scores_of(leader: Leader) -> dict[str, float]:
    """The shared lists a leader stands in, and what it is ordered by in each."""
    scores = list_scores(leader) if leader.listed else {}
    return scores if leader.fresh is None else {**scores, FRESH: leader.fresh}


def packed(item: str, figures: ItemFigures) -> bytes:
    """The record that goes with every signal, see `packing`."""
    counts = (figures.raw, figures.likes, figures.users)
    _, day, month = figures.likes_log2
    return pack_figures(
        item_key(item), counts, (day, month), figures.first_ms or 0, figures.categories
    )
