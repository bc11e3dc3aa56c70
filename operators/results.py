"""What the stages write to Cassandra, one struct a table; `rows` makes statements of it."""

from msgspec import Struct

ALL = "all"
"""Segment of the shared list that a reader adds to every user's own."""


class _Row(Struct, array_like=True, frozen=True, gc=False):
    written_us: int


class ItemRow(_Row, tag=20, frozen=True, gc=False):
    """What the catalogue says of an item, for `item_features`; `deleted` removes the row."""

    tenant: str
    item: str
    title: str
    available: bool
    deleted: bool


class SimilarRow(_Row, tag=21, frozen=True, gc=False):
    """The neighbours of an item, best first; `scores` are packed little-endian f4.

    Attributes:
        sources: Index into `SOURCES`, a byte an item; empty if all are of co-occurrence.
    """

    tenant: str
    item: str
    title: str
    ids: list[str]
    scores: bytes
    sources: bytes = b""


class TrendingRow(_Row, tag=22, frozen=True, gc=False):
    """A shared list; scores packed as in `SimilarRow`: whole score, and the item's part of it."""

    tenant: str
    segment: str
    ids: list[str]
    scores: bytes
    item_scores: bytes
    reason: str


class ListRow(_Row, tag=23, frozen=True, gc=False):
    """A user's list, best first.

    Attributes:
        sources: Index into `SOURCES`, a byte an item.
        seeds: Index into `seed_items`, 255 for none, a byte an item.
        seed_items: (item id, title) of the user's own items behind the list.
        generation: Number of lists made for this user so far.
        fallback: Why this is not the list the user would get with more known; empty if it is.
        known: Filter of the items the user knows, see `operators.seen`.
        surface: Where the list is for; empty for the one of the sink's settings.
        strategy: How it was composed; empty for the usual way.
        reasons: Index into `texts`, 255 where the source and the seed say all, a byte an item.
        propensities: Packed little-endian f4, a number an item; empty if all are 1.
        model: Name of the weights; empty for that of the sink's settings.
    """

    tenant: str
    user: str
    ids: list[str]
    scores: bytes
    item_scores: bytes
    sources: bytes
    seeds: bytes
    seed_items: list[tuple[str, str]]
    generation: int
    fallback: str
    known: bytes
    surface: str = ""
    strategy: str = ""
    reasons: bytes = b""
    texts: list[str] = []
    propensities: bytes = b""
    model: str = ""


class ProfileRow(_Row, tag=24, frozen=True, gc=False):
    """What the ranking knows of a user in plain words: actions by kind, newest items first.

    Attributes:
        interests: (name, share, item that stands for it), the largest first.
        tags: (name, weight, sentiment or None where the user has written nothing of it).
        mood: Weight of each emotion of late.
    """

    tenant: str
    user: str
    counts: dict[str, int]
    recent: list[str]
    interests: list[tuple[str, float, str]] = []
    tags: list[tuple[str, float, float | None]] = []
    mood: dict[str, float] = {}


class ForgetRow(_Row, tag=25, frozen=True, gc=False):
    """Delete all rows of a user."""

    tenant: str
    user: str
