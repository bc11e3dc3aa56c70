"""The wire contract of what comes in: typed events and items, and the border that checks them.

Everything behind this module may rely on: ids of 1..256 UTF-8 bytes, integer times not before
1970 and not too far ahead of the clock, known kinds and actions, finite values in their range.
Whatever does not hold becomes a `Rejected` with a sentence a person understands.
"""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NewType, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, field

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)
SessionId = NewType("SessionId", str)
EventId = NewType("EventId", str)
TenantId = NewType("TenantId", str)

ID_BYTES_MAX = 256

Action = Literal[
    "view", "click", "dwell", "search", "like", "share", "comment", "review", "rating",
    "favourite", "cart", "purchase", "dislike", "hide", "report", "unfollow", "satisfaction",
    "mood",
]  # fmt: skip
EMOTIONS = ("joy", "sadness", "anger", "fear", "disgust", "surprise", "neutral")
"""What the text of a `mood` may be; its value, 0 to 1, says how much of it."""
STARS_MAX = 5.0
"""Top of the scale of ratings and reviews; readers of data sets with other scales convert."""
STAR_ACTIONS: frozenset[str] = frozenset({"rating", "review"})
NEGATIVE_ACTIONS: frozenset[str] = frozenset({"dislike", "hide", "report", "unfollow"})

_Id = Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX)]
_Tenant = Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX, pattern=r"^[^\x00-\x1f]+\Z")]
_TimeMs = Annotated[int, Meta(ge=0, le=2**53)]
_Context = dict[str, str | int | float | bool | None]

_NEEDS_VALUE = {"dwell", "rating", "satisfaction"}
_NEEDS_TEXT = {"search", "comment", "mood"}
_NEEDS_NO_ITEM = {"search", "satisfaction", "mood"}
_VALUE_RANGE: dict[str, tuple[float, float]] = {
    "dwell": (0.0, math.inf),
    "rating": (0.0, STARS_MAX),
    "review": (0.0, STARS_MAX),
    "purchase": (0.0, math.inf),
    "satisfaction": (1.0, 5.0),
    "mood": (0.0, 1.0),
}


def _check_ids(record: Struct, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value is not None and len(value.encode()) > ID_BYTES_MAX:
            msg = f"`{name}` has {len(value.encode())} bytes; an id has 1 to {ID_BYTES_MAX}"
            raise ValueError(msg)


class _Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    event_time: _TimeMs
    tenant: _Tenant = "default"


class _Event(_Record, frozen=True, kw_only=True, tag_field="kind"):
    event_id: _Id


class Interaction(_Event, frozen=True, kw_only=True, tag="interaction"):
    """Somebody did something: `action` on `item_id`, or a search."""

    action: Action
    user_id: _Id | None = None
    session_id: _Id | None = None
    item_id: _Id | None = None
    value: float | None = None
    text: str | None = None
    language: str | None = None
    surface: str | None = None
    impression_id: _Id | None = None
    consent: bool = True
    context: _Context | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "event_id", "tenant", "user_id", "session_id", "item_id", "impression_id")
        if self.user_id is None and self.session_id is None:
            msg = "neither `user_id` nor `session_id`; an interaction has at least one of them"
            raise ValueError(msg)
        if self.item_id is None and self.action not in _NEEDS_NO_ITEM:
            msg = f"action `{self.action}` without `item_id`; only {_listed(_NEEDS_NO_ITEM)} may"
            raise ValueError(msg)
        if self.text is None and self.action in _NEEDS_TEXT:
            msg = f"action `{self.action}` without `text`"
            raise ValueError(msg)
        if self.action == "review" and self.value is None and self.text is None:
            msg = "action `review` with neither `value` (stars) nor `text`"
            raise ValueError(msg)
        if self.action == "mood" and self.text not in EMOTIONS:
            msg = f"`text` of a `mood` is `{self.text}`; it is one of {', '.join(EMOTIONS)}"
            raise ValueError(msg)
        self._check_value()

    def _check_value(self) -> None:
        if self.value is None:
            if self.action in _NEEDS_VALUE:
                msg = f"action `{self.action}` without `value`"
                raise ValueError(msg)
            return
        low, high = _VALUE_RANGE.get(self.action, (-math.inf, math.inf))
        if not (math.isfinite(self.value) and low <= self.value <= high):
            msg = f"`value` of `{self.action}` is {self.value}; it lies in {low} to {high}"
            raise ValueError(msg)


class Shown(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place of an impression."""

    item_id: _Id
    position: Annotated[int, Meta(ge=0)]
    source: str | None = None
    score: float | None = None
    propensity: Annotated[float, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "item_id")


class Impression(_Event, frozen=True, kw_only=True, tag="impression"):
    """A list was shown."""

    impression_id: _Id
    surface: str
    items: Annotated[list[Shown], Meta(max_length=1000)]
    user_id: _Id | None = None
    session_id: _Id | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        _check_ids(self, "event_id", "tenant", "user_id", "session_id", "impression_id")
        if self.user_id is None and self.session_id is None:
            msg = "neither `user_id` nor `session_id`; an impression has at least one of them"
            raise ValueError(msg)


HIDDEN_TAGS_MAX = 200


class Preferences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a user asked for in words.

    Attributes:
        hidden_tags: Tags that the user does not want to be known for; null leaves those of before,
            so that a program that knows nothing of them brings none back.
    """

    topics: list[str] = []
    blocked_categories: list[str] = []
    hidden_tags: Annotated[list[str], Meta(max_length=HIDDEN_TAGS_MAX)] | None = None


class UserUpdate(_Event, frozen=True, kw_only=True, tag="user"):
    """What is known of a user besides behaviour; the newest record counts."""

    user_id: _Id
    attributes: _Context = {}
    preferences: Preferences = field(default_factory=Preferences)
    personalise: bool = True

    def __post_init__(self) -> None:
        _check_ids(self, "event_id", "tenant", "user_id")


class Erase(_Event, frozen=True, kw_only=True, tag="erase"):
    """Forget this user."""

    user_id: _Id

    def __post_init__(self) -> None:
        _check_ids(self, "event_id", "tenant", "user_id")


Event = Interaction | Impression | UserUpdate | Erase


class Written(_Event, frozen=True, kw_only=True, tag="written"):
    """What a text of a user says; never read from the topic of events.

    Attributes:
        event_id: Of the event the text came with.
        user_id: Whom it is about.
        emotions: Weight by name.
        tags: (name, weight), the heaviest first.
        model, code: See `messages.About`.
    """

    user_id: str
    item_id: str | None
    action: str
    sentiment: float
    emotions: dict[str, float]
    tags: list[tuple[str, float]]
    model: str
    code: bytes


def subject_of(event: Event | Written) -> str | None:
    """Whom an event is about: the user, or the session where there is no user or no consent."""
    if isinstance(event, Interaction):
        return event.user_id if event.user_id and event.consent else event.session_id
    return event.user_id or (event.session_id if isinstance(event, Impression) else None)


class Item(_Record, frozen=True, kw_only=True):
    """A catalogue record; the newest one of an item counts."""

    item_id: _Id
    title: str
    description: str | None = None
    categories: list[str] = []
    tags: list[str] = []
    language: str | None = None
    image_uri: str | None = None
    audio_uri: str | None = None
    price: float | None = None
    creator: str | None = None
    available: bool = True
    attributes: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_ids(self, "item_id", "tenant")


REJECTION_KINDS = ("size", "json", "contract", "future", "empty")
"""Why records are refused, one word each, for counters."""


class Rejected(Struct, frozen=True):
    """A record that does not keep the contract.

    Attributes:
        kind: One of `REJECTION_KINDS`.
        reason: A sentence: where, what was got, what is legal.
    """

    kind: str
    reason: str


class Border(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that every record is held against.

    Attributes:
        record_bytes_max: Longer records are refused unread.
        future_max_ms: How far ahead of the clock an event time may lie.
        title_bytes_max: Of an item's title, which goes into the reasons of lists: one that fills a
            row would be refused by Cassandra again and again.
        categories_max: Categories of an item; each has a list of its own.
        category_bytes_max: Of one category.
    """

    record_bytes_max: int = 1_048_576
    future_max_ms: int = 600_000
    title_bytes_max: int = 1024
    categories_max: int = 64
    category_bytes_max: int = 256


_R = TypeVar("_R", Event, Item)
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_ITEMS: msgspec.json.Decoder[Item] = msgspec.json.Decoder(Item)


def parse_event(raw: bytes | None, now_ms: int, border: Border) -> Event | Rejected:
    """Decode and check one record of `headwater.events`."""
    return _parse(_EVENTS, raw, now_ms, border)


def parse_item(raw: bytes | None, now_ms: int, border: Border) -> Item | Rejected:
    """Decode and check one record of `headwater.items` that is not a deletion."""
    item = _parse(_ITEMS, raw, now_ms, border)
    if isinstance(item, Rejected):
        return item
    excess = _excess(item, border)
    return Rejected("contract", f"against the contract: {excess}") if excess else item


def _excess(item: Item, border: Border) -> str:
    """Which bound an item exceeds, in words; empty if none."""
    if (size := len(item.title.encode())) > border.title_bytes_max:
        return f"`title` has {size} bytes; at most {border.title_bytes_max} are taken"
    if (count := len(item.categories)) > border.categories_max:
        return f"{count} `categories`; at most {border.categories_max} are taken"
    longest = max((len(one.encode()) for one in item.categories), default=0)
    if longest > border.category_bytes_max:
        return f"a category of {longest} bytes; at most {border.category_bytes_max} are taken"
    return ""


def _parse(
    decoder: msgspec.json.Decoder[_R], raw: bytes | None, now_ms: int, border: Border
) -> _R | Rejected:
    if not raw:
        return Rejected("empty", "the record has no value; a JSON object is expected")
    if len(raw) > border.record_bytes_max:
        reason = f"the record has {len(raw)} bytes; at most {border.record_bytes_max} are read"
        return Rejected("size", reason)
    try:
        record = decoder.decode(raw)
    except msgspec.ValidationError as error:
        return Rejected("contract", f"against the contract: {error}{_legal(str(error))}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected("json", f"not a JSON object in UTF-8: {error}")
    if record.event_time > now_ms + border.future_max_ms:
        reason = (
            f"event_time {record.event_time} ({_iso(record.event_time)}) lies more than "
            f"{border.future_max_ms} ms ahead of the clock ({_iso(now_ms)}); "
            "times are UTC epoch milliseconds"
        )
        return Rejected("future", reason)
    return record


def _legal(error: str) -> str:
    if error.endswith("`$.action`"):
        return f"; an action is one of {', '.join(get_args(Action))}"
    if error.endswith("`$.kind`"):
        return "; a kind is one of interaction, impression, user, erase"
    return ""


def _iso(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return "after the year 9999"


def _listed(names: set[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names))
