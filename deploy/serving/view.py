"""From rows to what a person is shown: titles, places, ages. Pure: rows and the clock come in."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from deploy.serving.store import ItemFacts, Profile, UserList
from operators.reading import ListedItem, StoredList, read

_SPANS = (("year", 31_557_600.0), ("day", 86_400.0), ("h", 3600.0), ("min", 60.0))


class ShownItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place of a list; `rank` begins with 1."""

    rank: int
    item_id: str
    title: str
    score: float
    source: str
    seed: str | None = None
    seed_title: str | None = None
    reason: str = ""


class ShownList(Struct, frozen=True, kw_only=True):
    """A user's list as it is served.

    Attributes:
        as_of_ms: Event time of the user's own row; None where there is none.
        age_ms: The clock's time minus that.
        generation: Number of lists made for the user so far.
        fallback: Why this is not the user's own list, or None.
    """

    tenant: str
    user_id: str
    surface: str
    items: Sequence[ShownItem]
    as_of_ms: int | None
    age_ms: int | None
    model: str
    variant: str
    generation: int
    fallback: str | None


class ShownShared(Struct, frozen=True, kw_only=True):
    """A list that belongs to an item or to everybody; `name` is the item or the segment."""

    tenant: str
    name: str
    title: str
    items: Sequence[ShownItem]
    as_of_ms: int
    age_ms: int


class Because(Struct, frozen=True):
    """A word of a profile, what it is worth, and why it is there."""

    name: str
    weight: float
    reason: str


class ShownProfile(Struct, frozen=True, kw_only=True):
    """What is kept of a user, with the titles of the items the user touched last."""

    tenant: str
    user_id: str
    profile: Profile
    recent: Sequence[tuple[str, str]]
    age_ms: int
    interests: Sequence[Because] = ()
    tags: Sequence[Because] = ()
    mood: Sequence[Because] = ()


def mentioned(*rows: StoredList | None) -> set[str]:
    """Items whose title or availability it takes to show these rows, seeds included."""
    items = [one for row in rows if row is not None for one in row.items]
    return {one.item_id for one in items} | {one.seed for one in items if one.seed}


def user_list(
    whose: tuple[str, str, str],
    own: UserList | None,
    shared: StoredList | None,
    facts: Mapping[str, ItemFacts],
    *,
    exclude: Collection[str],
    top: int,
    now_ms: int,
) -> ShownList:
    """Merge the user's row with the shared one and dress the best of them.

    Args:
        whose: Tenant, user and surface.
        own: The user's row.
        shared: The popular row of the segment.
        facts: Of all items the rows mention.
        exclude: Items the caller does not want.
        top: Items shown at the most.
        now_ms: The clock.
    """
    stored = own.stored if own else None
    served = read(
        stored, shared, exclude=exclude, size=top, seen=own.seen if own else (),
        unavailable={one for one, fact in facts.items() if not fact.available},
    )  # fmt: skip
    tenant, user, surface = whose
    return ShownList(
        tenant=tenant, user_id=user, surface=surface, items=dressed(served.items, facts),
        as_of_ms=stored.as_of_ms if stored else None,
        age_ms=now_ms - stored.as_of_ms if stored else None,
        model=stored.model if stored else "", variant=own.variant if own else "",
        generation=stored.generation if stored else 0, fallback=served.fallback,
    )  # fmt: skip


def shared_list(
    tenant: str,
    name: str,
    row: StoredList,
    facts: Mapping[str, ItemFacts],
    *,
    top: int,
    now_ms: int,
) -> ShownShared:
    """Dress the first items of a row that are available."""
    items = [one for one in row.items if facts.get(one.item_id, _FINE).available][:top]
    return ShownShared(
        tenant=tenant, name=name, title=title_of(name, facts), items=dressed(items, facts),
        as_of_ms=row.as_of_ms, age_ms=now_ms - row.as_of_ms,
    )  # fmt: skip


def similar_list(
    tenant: str,
    item: str,
    row: StoredList,
    facts: Mapping[str, ItemFacts],
    *,
    top: int,
    now_ms: int,
) -> ShownShared:
    """Dress the neighbours of an item: a third of the places are for those by content."""
    items = [one for one in row.items if facts.get(one.item_id, _FINE).available]
    said = [one for one in items if one.source == "content"]
    done = [one for one in items if one.source != "content"]
    count = max(min(len(said), -(-top // 3)), top - len(done))
    kept = StoredList(items=[*done[: top - count], *said[:count]], as_of_ms=row.as_of_ms)
    return shared_list(tenant, item, kept, facts, top=top, now_ms=now_ms)


_FINE = ItemFacts("")


def profile(
    tenant: str, user: str, found: Profile, facts: Mapping[str, ItemFacts], now_ms: int
) -> ShownProfile:
    """Put titles to the items of a profile."""
    recent = [(one, title_of(one, facts)) for one in found.recent]
    return ShownProfile(
        tenant=tenant, user_id=user, profile=found, recent=recent,
        age_ms=now_ms - found.as_of_ms,
        interests=[
            Because(one.name, one.weight, f"items like {title_of(one.item_id, facts)}"
                    if one.item_id else "items that belong together")
            for one in found.interests
        ],
        tags=[Because(one.name, one.weight, _said(one.sentiment)) for one in found.tags],
        mood=[
            Because(name, weight, "of recent texts or the user's own word; gone in hours")
            for name, weight in sorted(found.mood.items(), key=lambda mood: (-mood[1], mood[0]))
        ],
    )  # fmt: skip


def _said(sentiment: float | None) -> str:
    """Why a tag is there."""
    if sentiment is None:
        return "of items the user chose"
    tone = "well" if sentiment > 0.1 else "ill" if sentiment < -0.1 else "neither well nor ill"
    return f"the user wrote of it, {tone} ({sentiment:+.2f})"


def dressed(items: Iterable[ListedItem], facts: Mapping[str, ItemFacts]) -> list[ShownItem]:
    """Items with their places and titles."""
    return [
        ShownItem(
            rank=rank, item_id=one.item_id, title=title_of(one.item_id, facts), score=one.score,
            source=one.source, seed=one.seed, reason=one.reason,
            seed_title=title_of(one.seed, facts) if one.seed else None,
        )
        for rank, one in enumerate(items, 1)
    ]  # fmt: skip


def title_of(item: str, facts: Mapping[str, ItemFacts]) -> str:
    """Title of an item, its id where none is known."""
    return facts[item].title if item in facts else item


def span(ms: int) -> str:
    """A span of time in words, two digits or more.

    >>> span(480), span(2500), span(150_000), span(3 * 3_600_000), span(90 * 86_400_000)
    ('480 ms', '2.5 s', '2.5 min', '3.0 h', '90 days')
    """
    if abs(ms) < 1000:
        return f"{ms} ms"
    for unit, seconds in _SPANS:
        if abs(ms) >= 1000 * seconds:
            count = ms / 1000 / seconds
            if unit in {"h", "min"}:
                return f"{count:.1f} {unit}"
            return f"{count:.0f} days" if unit == "day" else f"{count:.1f} years"
    return f"{ms / 1000:.1f} s"
