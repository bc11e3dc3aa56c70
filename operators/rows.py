"""Results of the stages as Cassandra writes: which statement, and its values as wire bytes.

The values are encoded here and not by the driver: a list of 50 user-defined types goes through
350 driver codecs, a good part of the cost of a click, while the bytes of the protocol (native
protocol v5, section 6: big-endian, four bytes of length before each element) are simple. A test
holds them against the driver's own encoding.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from operators.messages import (
    SOURCES,
    ForgetRow,
    ItemRow,
    ListRow,
    ProfileRow,
    SimilarRow,
    TrendingRow,
)
from operators.reading import ListedItem

Row = ItemRow | SimilarRow | TrendingRow | ListRow | ProfileRow | ForgetRow
Value = bytes | None

_INT = struct.Struct(">i")
_LONG = struct.Struct(">q")
_SCORES = struct.Struct(">ifif")
_NULL = _INT.pack(-1)
_CERTAIN = struct.pack(">if", 4, 1.0)
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
    "profile": _insert("profiles", "tenant", "user_id", "counts", "recent", "as_of"),
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
            tenant, row.user.encode(), settings.surface.encode(), _items(_listed(row)),
            _LONG.pack(row.generation), as_of, settings.model.encode(),
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
        counts, recent = _counts(row.counts), _texts(row.recent)
        yield Write("profile", [tenant, row.user.encode(), counts, recent, as_of, *tail])
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


_Item = tuple[str, float, float, str, str | None, str]
"""Item, score, item score, source, seed, reason."""


def _listed(row: ListRow) -> Iterator[_Item]:
    scores, parts = _floats(row.scores), _floats(row.item_scores)
    because = [f"Because of {title}" for _, title in row.seed_items]
    for place, item in enumerate(row.ids):
        source, seed = SOURCES[row.sources[place]], row.seeds[place]
        if seed < len(because):
            yield item, scores[place], parts[place], source, row.seed_items[seed][0], because[seed]
        else:
            yield item, scores[place], parts[place], source, None, _WITHOUT_SEED[source]


_WITHOUT_SEED = {
    "co_occurrence": "Goes with what you liked before",
    "trending": "Popular right now",
}


def items_of(row: ListRow | TrendingRow) -> list[ListedItem]:
    """The items of a row as a reader gets them from the store."""
    found = _listed(row) if isinstance(row, ListRow) else _trending(row)
    return [
        ListedItem(item_id=item, score=score, item_score=part, source=source, seed=seed,
                   reason=reason)
        for item, score, part, source, seed, reason in found
    ]  # fmt: skip


def _similar(row: SimilarRow) -> Iterator[_Item]:
    reason = f"People who chose {row.title} chose this too"
    for item, score in zip(row.ids, _floats(row.scores), strict=True):
        yield item, score, 0.0, "co_occurrence", row.item, reason


def _trending(row: TrendingRow) -> Iterator[_Item]:
    scores, parts = _floats(row.scores), _floats(row.item_scores)
    for item, score, part in zip(row.ids, scores, parts, strict=True):
        yield item, score, part, "trending", None, row.reason


def _floats(packed: bytes) -> Sequence[float]:
    values: list[float] = np.frombuffer(packed, "<f4").tolist()
    return values


def _field(data: bytes) -> bytes:
    return _INT.pack(len(data)) + data


def _items(items: Iterable[_Item]) -> bytes:
    """A list of `recommended_item`: count, then each element and each of its fields sized."""
    texts: dict[str, bytes] = {}

    def text(value: str) -> bytes:
        known = texts.get(value)
        if known is None:
            known = texts[value] = _field(value.encode())
        return known

    parts = [b""]
    for item, score, part, source, seed, reason in items:
        parts.append(
            _field(
                _field(item.encode()) + _SCORES.pack(4, score, 4, part) + text(source)
                + (_NULL if seed is None else text(seed)) + text(reason) + _CERTAIN
            )
        )  # fmt: skip
    parts[0] = _INT.pack(len(parts) - 1)
    return b"".join(parts)


def _texts(values: Sequence[str]) -> bytes:
    return _INT.pack(len(values)) + b"".join(_field(value.encode()) for value in values)


def _counts(counts: dict[str, int]) -> bytes:
    pairs = (_field(name.encode()) + _field(_LONG.pack(n)) for name, n in sorted(counts.items()))
    return _INT.pack(len(counts)) + b"".join(pairs)
