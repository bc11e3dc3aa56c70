"""The reader: what is served from a stored list, by a pure function.

A stored list is of the user's last event; since then other items may have become popular. Scores
are linear, user part + item part, so the item part is taken fresh from the shared row `trending`,
and its items compete with those of the list. Then falls what the caller excludes and what is not
available. A list that is not the user's own says why.
"""

from collections.abc import Collection, Container, Sequence

from msgspec import Struct

SHOWN = 10


class ListedItem(Struct, frozen=True, kw_only=True):
    """One item of a stored row: `score` is the user part plus `item_score`."""

    item_id: str
    score: float
    item_score: float
    source: str
    seed: str | None
    reason: str
    propensity: float = 1.0


class StoredList(Struct, frozen=True, kw_only=True):
    """A row of `recommendations` or `trending`.

    Attributes:
        fallback: Why the row is not the user's own list, or None.
    """

    items: Sequence[ListedItem]
    as_of_ms: int
    model: str = ""
    generation: int = 0
    fallback: str | None = None


class Served(Struct, frozen=True, kw_only=True):
    """What a person sees.

    Attributes:
        as_of_ms: Event time of the newest row that went in; None when there was none.
        fallback: Why these are not the user's own, or None.
    """

    items: Sequence[ListedItem]
    as_of_ms: int | None
    fallback: str | None


NO_ROW = "nothing is stored for this user; what is popular is shown"
NO_ROWS = "nothing is stored yet, neither for this user nor of what is popular"
EMPTY = "all stored items were excluded or are unavailable; what is popular is shown"


def read(
    own: StoredList | None,
    shared: StoredList | None,
    *,
    exclude: Collection[str] = (),
    unavailable: Collection[str] = (),
    seen: Container[str] = (),
    size: int = SHOWN,
) -> Served:
    """Merge a user's row with the shared row of the segment and serve the best.

    Args:
        own: The user's row, if there is one.
        shared: The popular row of the user's segment, if there is one.
        exclude: Items the caller does not want, for example those of the page before.
        unavailable: Items that must not be shown to anybody.
        seen: Items the user knows, for the shared ones: the user's row holds none of them.
        size: Items served at the most.
    """
    dropped = {*exclude, *unavailable}
    shared_items = [one for one in (shared.items if shared else ()) if one.item_id not in seen]
    own_items = list(own.items) if own else []
    merged = [one for one in _merge(own_items, shared_items) if one.item_id not in dropped]
    times = [row.as_of_ms for row in (own, shared) if row is not None]
    return Served(
        items=merged[:size],
        as_of_ms=max(times, default=None),
        fallback=_fallback(own, shared, merged),
    )


def _merge(own: Sequence[ListedItem], shared: Sequence[ListedItem]) -> list[ListedItem]:
    """Own items with fresh item parts and the other shared ones; equal scores keep this order."""
    fresh = {one.item_id: one.item_score for one in shared}
    renewed = [_with_item_score(one, fresh.get(one.item_id, one.item_score)) for one in own]
    known = {one.item_id for one in own}
    others = [one for one in shared if one.item_id not in known]
    return sorted([*renewed, *others], key=lambda one: -one.score)


def _with_item_score(one: ListedItem, item_score: float) -> ListedItem:
    if item_score == one.item_score:
        return one
    return ListedItem(
        item_id=one.item_id, score=one.score - one.item_score + item_score,
        item_score=item_score, source=one.source, seed=one.seed, reason=one.reason,
        propensity=one.propensity,
    )  # fmt: skip


def _fallback(
    own: StoredList | None, shared: StoredList | None, merged: Sequence[ListedItem]
) -> str | None:
    if own is None:
        return NO_ROW if shared and shared.items else NO_ROWS
    if own.fallback:
        return own.fallback
    own_ids = {one.item_id for one in own.items}
    return None if any(one.item_id in own_ids for one in merged) else EMPTY
