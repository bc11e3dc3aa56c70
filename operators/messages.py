"""What travels between the stages: small structs, packed as MessagePack arrays.

Each carries its event's time and id, so that a batch can be put in the one order that makes a
replay exact. `figures` fields hold one packed `packing.FIGURES` record.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

from msgspec import Struct


class _Message(Struct, array_like=True, frozen=True, gc=False):
    turn: ClassVar[int] = 1
    time_ms: int
    event_id: str


class _Shared(_Message, frozen=True, gc=False):
    """What a batch takes effect with, before the messages about one user or item."""

    turn: ClassVar[int] = 0


class Signal(_Message, tag=1, frozen=True, gc=False):
    """A first, stronger or repeated interaction of a user with an item.

    Attributes:
        seq: Number of this user's messages so far: tells a straggler of an erased user.
        strength: Of this action; `old` is the user's strength for the item before it.
        first: The user had not touched the item before.
        liked: The user likes the item from this action on, and did not before.
        segment: Of the user, for the popular lists; empty if unknown.
    """

    tenant: str
    user: str
    seq: int
    item: str
    action: str
    strength: int
    old: int
    first: bool
    liked: bool
    segment: str


class Withdrawn(_Message, tag=2, frozen=True, gc=False):
    """What one erased user had added to one item."""

    tenant: str
    item: str
    strength: int
    liked_ms: int | None
    segment: str


class Listed(_Message, tag=3, frozen=True, gc=False):
    """A catalogue record, or (`deleted`) the end of one."""

    tenant: str
    item: str
    title: str
    categories: list[str]
    available: bool
    deleted: bool


class Counted(_Message, tag=4, frozen=True, gc=False):
    """A signal with the item's figures of that moment."""

    signal: Signal
    figures: bytes
    title: str
    category: str


class Forget(_Message, tag=5, frozen=True, gc=False):
    """Erase a user: everything up to and including `seq`."""

    tenant: str
    user: str
    seq: int


class Learn(_Message, tag=6, frozen=True, gc=False):
    """A counted signal with its pairs, for the item it is about.

    Attributes:
        pairs: Empty; what journals of earlier releases hold in place of the last two: (other item,
            weight, short weight, figures of the other).
        returned: The user is back after long; neighbours of the last items come with `Recalled`.
        others: The items of the pairs, in order of nearness.
        records: What is learned of each pair, as in `PairsSeen`.
    """

    counted: Counted
    increase: int
    pairs: list[tuple[str, int, int, bytes]]
    returned: bool = False
    others: list[str] = []
    records: bytes = b""


class PairsSeen(_Message, tag=46, frozen=True, gc=False):
    """Integer changes of directed pairs, for items of one bucket, by events of several moments.

    Its own moment is that of the first event.

    Attributes:
        keys: `stage.scoped` key of the item of each pair.
        times_ms, event_ids, others: Of each event, in order; the other of a pair is its item.
        events: Number of the event of each pair, packed little-endian u4.
        records: What is learned of each pair, packed records of `kernels.RUN_WORDS` words.
    """

    keys: list[str]
    times_ms: list[int]
    event_ids: list[str]
    others: list[str]
    events: bytes
    records: bytes


class PairSeen(_Message, tag=7, frozen=True, gc=False):
    """Integer changes of one directed pair, for the item `item`: what an erasure takes back.

    Journals of earlier releases hold what was added in the same form, with `figures`.

    Attributes:
        ratio: Sum of strengths of `other` over that of `item`, as known where the pair was made.
        figures: Of `other`; empty when a pair is taken back.
    """

    tenant: str
    item: str
    other: str
    forward: int
    backward: int
    short: int
    ratio: float
    figures: bytes


class SumTaken(_Message, tag=8, frozen=True, gc=False):
    """Take back a sum of strengths from an item."""

    tenant: str
    item: str
    decrease: int


class Pulled(_Message, tag=9, frozen=True, gc=False):
    """The neighbours of the item a user just touched.

    Attributes:
        ids: Item ids of the rows, as `id_list.join` writes them; a list of them in those of earlier
            releases.
        rows: Packed `packing.PULLED` records, one an id.
        about: What the item says, or None where that is not known.
        returned: As in `Learn`.
    """

    counted: Counted
    ids: str | list[str]
    rows: bytes
    about: "About | None" = None
    returned: bool = False


class Noted(_Message, tag=10, frozen=True, gc=False):
    """An interaction that moves no counter: a search, a negative action, a vote.

    Attributes:
        item: Empty for a search. Of a negative action: never to be listed again.
        item_key: `packing.item_key` of the item.
    """

    tenant: str
    user: str
    seq: int
    action: str
    item: str
    item_key: int
    negative: bool


class UserChanged(_Message, tag=11, frozen=True, gc=False):
    """A user's own settings.

    Attributes:
        topics: Categories the user asked for.
        segment: Of the user, for the popular lists; empty if unknown.
        hidden_tags: That the user does not want to be known for; None leaves those of before.
    """

    tenant: str
    user: str
    seq: int
    personalise: bool
    blocked_categories: list[str]
    topics: list[str] = []
    segment: str = ""
    hidden_tags: list[str] | None = None


class Leader(_Message, tag=12, frozen=True, gc=False):
    """Figures of an item that is among the most popular of its bucket, for the shared lists.

    Attributes:
        likes_log2: log2 of the decayed likes for each of `figures.HALF_LIVES`.
        segments: log2 of the decayed likes by segment.
        listed: False takes the item off all lists but that of fresh items.
        fresh: When the item came, if few have touched it yet; None otherwise.
    """

    tenant: str
    item: str
    title: str
    figures: bytes
    categories: list[str]
    likes_log2: tuple[float, float, float]
    segments: dict[str, float]
    listed: bool
    fresh: float | None = None


class PopularList(_Shared, tag=13, frozen=True, gc=False):
    """A shared list, best first, for every bucket of the ranking."""

    tenant: str
    name: str
    ids: list[str]
    rows: bytes


class Availability(_Shared, tag=14, frozen=True, gc=False):
    """An item may, or may no longer, stand in any list.

    Attributes:
        stale_ms: The item is forgotten, and so may its key be: all that is kept of it anywhere
            shows no life after this time. None if it is not.
    """

    tenant: str
    item: str
    item_key: int
    available: bool
    stale_ms: int | None = None


class About(Struct, array_like=True, frozen=True, gc=False):
    """What an item says, as far as the profile of a user needs it.

    Attributes:
        model: Version of the code: codes of different ones are never compared.
        code: `packing.code_of` the item's vector; empty if it has none.
        tags: (name, weight), the heaviest first.
        sentiment: -1 to 1.
    """

    model: str
    code: bytes
    tags: list[tuple[str, float]]
    sentiment: float


class Featured(_Message, tag=40, frozen=True, gc=False):
    """Features of an item, or (`about` is None) the end of them.

    Attributes:
        near: (item, cosine) of the nearest items, nearest first.
    """

    tenant: str
    item: str
    about: About | None
    near: list[tuple[str, float]]


class Described(_Message, tag=41, frozen=True, gc=False):
    """What an item says and what it is called, for its neighbours."""

    tenant: str
    item: str
    title: str
    about: About | None


class Meeting(_Message, tag=42, frozen=True, gc=False):
    """Tell the item `other` what is known of `item`; similarity 0 parts the two.

    Attributes:
        own: Whether it is the record of `other` that says so, and not that of `item`.
    """

    tenant: str
    item: str
    other: str
    similarity: float
    own: bool


class Near(_Message, tag=43, frozen=True, gc=False):
    """`other` is like `item` in content; similarity 0 if it no longer is.

    Attributes:
        own: Whether it is the record of `item` that says so, and not that of `other`.
        figures: Of `other`, at this moment.
    """

    tenant: str
    item: str
    other: str
    similarity: float
    own: bool
    figures: bytes


class Grown(_Message, tag=45, frozen=True, gc=False):
    """Tell the item `item`, which `other` is like in content, how many have touched `other` by now.

    Attributes:
        figures: Of `other`, at this moment.
    """

    tenant: str
    item: str
    other: str
    figures: bytes


class Said(_Message, tag=44, frozen=True, gc=False):
    """What a text of a user says, or how the user says to feel (action `mood`).

    Attributes:
        item: What it is about; empty if about none.
        sentiment: -1 to 1.
        emotions: Weight by name.
        tags: (name, weight), the heaviest first.
        model, code: As in `About`.
    """

    tenant: str
    user: str
    seq: int
    action: str
    item: str
    sentiment: float
    emotions: dict[str, float]
    tags: list[tuple[str, float]]
    model: str
    code: bytes


class Expired(_Message, tag=50, frozen=True, gc=False):
    """A user or session that has been idle for long: forget it, keep what it taught."""

    tenant: str
    user: str
    seq: int


class ItemExpired(_Message, tag=51, frozen=True, gc=False):
    """An item that nobody has touched for long, and the catalogue does not hold."""

    tenant: str
    item: str


class RowDue(Struct, array_like=True, tag=33, frozen=True, gc=False):
    """A shared list has changed: whoever gets this writes its row, with the weights of now."""

    turn: ClassVar[int] = 0
    written_us: int
    time_ms: int
    event_id: str
    tenant: str
    name: str


class Outcome(_Message, tag=30, frozen=True, gc=False):
    """An interaction against the list that was being served to its user just before.

    Attributes:
        first: The user had not touched the item before.
        rank: Place of the item among all that could be served, from 1; None if it was not there.
        source: Where the item came from, a name of `SOURCES`; None without a rank.
        model: Made the list: name of the weights.
        list_age_ms: Event time since the row was made, of the shared row for a user without one;
            None where nothing was stored at all. Below 0 where, live, a later event of the user
            was judged first: the two went by different items.
        fallback: Whether it was not the user's own list.
        user_events: Interactions with items of this user before.
        item_users: Users of the item before; None of a refusal, which no counter has seen.
        shown: Items of the first ten places.
        shadows: Rank by the name of each shadow model.
        gradient: Packed little-endian f8, by `features.FEATURES`; empty where none was learned.
    """

    tenant: str
    user: str
    item: str
    action: str
    strength: int
    liked: bool
    first: bool
    rank: int | None
    source: str | None
    variant: str
    model: str
    list_age_ms: int | None
    fallback: bool
    user_events: int
    item_users: int | None
    shown: list[str]
    shadows: dict[str, int | None] = {}
    gradient: bytes = b""


class _Earlier(_Message, frozen=True, gc=False):
    """An earlier item of a user who is back after long.

    Attributes:
        seq: Of the signal that brought the user back.
        strength: Of the user for the item.
        place: How many of the user's items came between the two.
    """

    tenant: str
    user: str
    seq: int
    item: str
    strength: int
    place: int


class Recall(_Earlier, tag=34, frozen=True, gc=False):
    """Ask for the neighbours of an earlier item."""


class Recalled(_Earlier, tag=35, frozen=True, gc=False):
    """The answer to `Recall`; `ids` and `rows` as in `Pulled`."""

    ids: str | list[str]
    rows: bytes


class Gradient(_Message, tag=31, frozen=True, gc=False):
    """What one outcome says about the worth of each feature, by name."""

    tenant: str
    values: dict[str, float]


class NewWeights(_Shared, tag=32, frozen=True, gc=False):
    """Weights of a tenant for every bucket of the ranking; `model` names them."""

    tenant: str
    model: str
    values: dict[str, float]


SOURCES = ("co_occurrence", "content", "trending", "fresh", "editorial")
"""Where a candidate can come from; the contract's names."""


order: Callable[[Any], tuple[int, int, str]] = attrgetter("turn", "time_ms", "event_id")
"""Sort key of a batch: shared lists and availability first, then by event time and id."""
