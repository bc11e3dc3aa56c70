"""Results of the stages as Cassandra writes: which statement, and its values as wire bytes.

The values are encoded here and not by the driver: a list of 50 user-defined types goes through
350 driver codecs, a good part of the cost of a click, while the bytes of the protocol (native
protocol v4, section 6: big-endian, four bytes of length before each element) are simple. A test
holds them against the driver's own encoding.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from operators.messages import SOURCES
from operators.reading import ListedItem
from operators.results import ForgetRow, ItemRow, ListRow, ProfileRow, SimilarRow, TrendingRow

Row = ItemRow | SimilarRow | TrendingRow | ListRow | ProfileRow | ForgetRow
Value = bytes | None

_INT = struct.Struct(">i")
_LONG = struct.Struct(">q")
_SCORES = struct.Struct(">ifif")
_HEAD = struct.Struct(">ii")
_NULL = _INT.pack(-1)
_FLOAT = struct.Struct(">if")
NO_TEXT = 255
_INSERT = (
    "INSERT INTO {{keyspace}}.{table} ({columns}) VALUES ({marks}) USING TIMESTAMP ? AND TTL ?"
)


class Write(NamedTuple):
    """One write: the name of a statement and the bytes of its values."""

    statement: str
    values: list[Value]


class RowSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all rows share.

    Attributes:
        surface: Where the lists are for.
        model: Name of the model and its weights.
        variant: Of an experiment.
        ttl_s: After how long a row that is not renewed disappears.
    """

    surface: str = "home"
    model: str = "itemcf-1"
    variant: str = "default"
    ttl_s: int = 2_592_000


def _insert(table: str, *columns: str) -> str:
    marks = ", ".join("?" for _ in columns)
    return _INSERT.format(table=table, columns=", ".join(columns), marks=marks)


STATEMENTS = {
    "list": _insert(
        "recommendations", "tenant", "user_id", "surface", "items", "generation", "as_of",
        "model", "variant", "fallback", "seen",
    ),
    "similar": _insert("similar_items", "tenant", "item_id", "items", "as_of", "model"),
    "trending": _insert("trending", "tenant", "segment", "items", "as_of"),
    "profile": _insert(
        "profiles", "tenant", "user_id", "interests", "tags", "mood", "counts", "recent", "as_of"
    ),
    "item": "INSERT INTO {keyspace}.item_features (tenant, item_id, title, available, as_of)"
    " VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
    "item_gone": "DELETE FROM {keyspace}.item_features USING TIMESTAMP ?"
    " WHERE tenant = ? AND item_id = ?",
    "item_similar_gone": "DELETE FROM {keyspace}.similar_items USING TIMESTAMP ?"
    " WHERE tenant = ? AND item_id = ?",
    "list_gone": "DELETE FROM {keyspace}.recommendations USING TIMESTAMP ?"
    " WHERE tenant = ? AND user_id = ?",
    "profile_gone": "DELETE FROM {keyspace}.profiles USING TIMESTAMP ?"
    " WHERE tenant = ? AND user_id = ?",
}  # fmt: skip
"""CQL by statement name, to be formatted with the keyspace."""


def writes_of(row: Row, settings: RowSettings) -> Iterator[Write]:
    """The writes that one result asks for."""
    stamp = _LONG.pack(row.written_us)
    as_of = _LONG.pack(row.written_us // 1000)
    tail = [stamp, _INT.pack(settings.ttl_s)]
    tenant = row.tenant.encode()
    if isinstance(row, ListRow):
        values = [
            tenant, row.user.encode(), (row.surface or settings.surface).encode(),
            _items(_listed(row)), _LONG.pack(row.generation), as_of, _model(row, settings).encode(),
            settings.variant.encode(), row.fallback.encode() or None, row.known, *tail,
        ]  # fmt: skip
        yield Write("list", values)
    elif isinstance(row, SimilarRow):
        items = _items(_similar(row))
        yield Write(
            "similar", [tenant, row.item.encode(), items, as_of, settings.model.encode(), *tail]
        )
    elif isinstance(row, TrendingRow):
        yield Write(
            "trending", [tenant, row.segment.encode(), _items(_trending(row)), as_of, *tail]
        )
    elif isinstance(row, ProfileRow):
        values = [
            _interests(row.interests), _tags(row.tags), _mood(row.mood), _counts(row.counts),
            _texts(row.recent),
        ]  # fmt: skip
        yield Write("profile", [tenant, row.user.encode(), *values, as_of, *tail])
    elif isinstance(row, ForgetRow):
        yield Write("list_gone", [stamp, tenant, row.user.encode()])
        yield Write("profile_gone", [stamp, tenant, row.user.encode()])
    elif row.deleted:
        yield Write("item_gone", [stamp, tenant, row.item.encode()])
        yield Write("item_similar_gone", [stamp, tenant, row.item.encode()])
    else:
        available = b"\x01" if row.available else b"\x00"
        yield Write(
            "item", [tenant, row.item.encode(), row.title.encode(), available, as_of, stamp]
        )


_Item = tuple[str, float, float, str, str | None, str, float]
"""Item, score, item score, source, seed, reason, propensity."""


def _model(row: ListRow, settings: RowSettings) -> str:
    """Name of the weights, and of the strategy where it is not the usual one."""
    model = row.model or settings.model
    return f"{model}+{row.strategy}" if row.strategy else model


def _listed(row: ListRow) -> Iterator[_Item]:
    scores, parts = _floats(row.scores), _floats(row.item_scores)
    because = [f"Because of {title}" for _, title in row.seed_items]
    chances = _floats(row.propensities) if row.propensities else [1.0] * len(row.ids)
    for place, item in enumerate(row.ids):
        source, number = SOURCES[row.sources[place]], row.seeds[place]
        seeded = number < len(because)
        seed = row.seed_items[number][0] if seeded else None
        text = row.reasons[place] if row.reasons else NO_TEXT
        if text < len(row.texts):
            reason = row.texts[text]
        else:
            reason = because[number] if seeded else _WITHOUT_SEED[source]
        yield item, scores[place], parts[place], source, seed, reason, chances[place]


_WITHOUT_SEED = {
    "co_occurrence": "Goes with what you liked before",
    "content": "Similar in content to what you liked before",
    "trending": "Popular right now",
    "fresh": "New here",
    "editorial": "Chosen by the editors",
}


def items_of(row: ListRow | TrendingRow) -> list[ListedItem]:
    """The items of a row as a reader gets them from the store."""
    found = _listed(row) if isinstance(row, ListRow) else _trending(row)
    return [
        ListedItem(item_id=item, score=score, item_score=part, source=source, seed=seed,
                   reason=reason, propensity=chance)
        for item, score, part, source, seed, reason, chance in found
    ]  # fmt: skip


def _similar(row: SimilarRow) -> Iterator[_Item]:
    reasons = {
        "co_occurrence": f"People who chose {row.title} chose this too",
        "content": f"Similar in content to {row.title}",
    }
    sources = row.sources or bytes(len(row.ids))
    for item, score, source in zip(row.ids, _floats(row.scores), sources, strict=True):
        yield item, score, 0.0, SOURCES[source], row.item, reasons[SOURCES[source]], 1.0


def _trending(row: TrendingRow) -> Iterator[_Item]:
    scores, parts = _floats(row.scores), _floats(row.item_scores)
    for item, score, part in zip(row.ids, scores, parts, strict=True):
        yield item, score, part, "trending", None, row.reason, 1.0


def _floats(packed: bytes) -> Sequence[float]:
    values: list[float] = np.frombuffer(packed, "<f4").tolist()
    return values


def _field(data: bytes) -> bytes:
    return _INT.pack(len(data)) + data


def _items(items: Iterable[_Item]) -> bytes:
    """A list of `recommended_item`: count, then each element and each of its fields sized.

    What an item shares with others of the list, its source, seed and reason, is encoded once.
    """
    tails: dict[tuple[str, str | None, str, float], bytes] = {}
    parts = [b""]
    for item, score, part, source, seed, reason, chance in items:
        about = source, seed, reason, chance
        tail = tails.get(about)
        if tail is None:
            tail = tails[about] = _about(*about)
        name = item.encode()
        head = _HEAD.pack(_INT.size + len(name) + _SCORES.size + len(tail), len(name))
        parts += (head, name, _SCORES.pack(4, score, 4, part), tail)
    parts[0] = _INT.pack(len(parts) // 4)
    return b"".join(parts)


def _about(source: str, seed: str | None, reason: str, chance: float) -> bytes:
    """The last fields of a `recommended_item`."""
    named = _NULL if seed is None else _field(seed.encode())
    return _field(source.encode()) + named + _field(reason.encode()) + _FLOAT.pack(4, chance)


def _texts(values: Sequence[str]) -> bytes:
    return _INT.pack(len(values)) + b"".join(_field(value.encode()) for value in values)


def _counts(counts: dict[str, int]) -> bytes:
    pairs = (_field(name.encode()) + _field(_LONG.pack(n)) for name, n in sorted(counts.items()))
    return _INT.pack(len(counts)) + b"".join(pairs)


def _interests(interests: Sequence[tuple[str, float, str]]) -> bytes:
    """A list of `interest`: name, weight, item."""
    parts = (
        _field(_field(name.encode()) + _FLOAT.pack(4, weight) + _field(item.encode()))
        for name, weight, item in interests
    )
    return _INT.pack(len(interests)) + b"".join(parts)


def _tags(tags: Sequence[tuple[str, float, float | None]]) -> bytes:
    """A list of `weighted_tag`: name, weight, sentiment or null."""
    parts = (
        _field(
            _field(name.encode()) + _FLOAT.pack(4, weight)
            + (_NULL if sentiment is None else _FLOAT.pack(4, sentiment))
        )
        for name, weight, sentiment in tags
    )  # fmt: skip
    return _INT.pack(len(tags)) + b"".join(parts)


def _mood(mood: dict[str, float]) -> bytes:
    pairs = (_field(name.encode()) + _FLOAT.pack(4, mood[name]) for name in sorted(mood))
    return _INT.pack(len(mood)) + b"".join(pairs)
