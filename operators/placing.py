"""The state of the stage `catalogue`: where the vectors of items are, and what belongs to them."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from operators.clusters import Clusters
from operators.readings import Reading
from operators.stage import Table, scoped
from operators.vectors import CHUNK_ROWS, VectorChunk
from operators.whitening import Moments, SpaceMap


class ItemPlace(Struct, array_like=True):
    """An item: where its vector is, and the rest of its features.

    Attributes:
        row: Of the group's rows over all chunks; -1 if there is no vector.
        clock_us: Write time of its last record.
    """

    time_ms: int
    clock_us: int
    row: int
    content: str
    reading: Reading


class Group(Struct, array_like=True):
    """The items of one tenant and encoder.

    Attributes:
        items: How many there are, with a vector or without.
        rows: Rows in use or free, over all chunks.
        free: Rows to use again.
        version: Of the map.
        marked: Version of the last marker; -1 before the first.
        time_ms: Of the newest record.
    """

    items: int = 0
    rows: int = 0
    free: list[int] = field(default_factory=list)
    version: int = 0
    marked: int = -1
    time_ms: int = 0


@dataclass
class CatalogueState:
    """Items by id; counts by tenant; groups and what belongs to them by tenant and encoder."""

    item: Table[ItemPlace]
    size: Table[int]
    group: Table[Group]
    chunk: Table[VectorChunk]
    moments: Table[Moments]
    map: Table[SpaceMap]
    passed: Table[list[int]]
    clusters: Table[Clusters]


def space_of(state: CatalogueState, name: str) -> SpaceMap:
    """The map of a group; version 0 before the first."""
    return state.map.get(name) or SpaceMap(0)


def place_of(state: CatalogueState, name: str, item: str) -> ItemPlace:
    """Of an item that is known, in a group of its tenant."""
    place: ItemPlace = kept(state.item.get(scoped(name.partition("\x1f")[0], item)))
    return place


def chunk_key(name: str, row: int) -> str:
    """Key of the chunk that a row of a group lies in."""
    return f"{name}\x1f{row // CHUNK_ROWS:06d}"


def chunk_of(state: CatalogueState, name: str, row: int, dimensions: int) -> VectorChunk:
    """The chunk that a row lies in, an empty one if it is the first."""
    return state.chunk.get(chunk_key(name, row)) or VectorChunk.empty(dimensions)


def chunks_of(state: CatalogueState, name: str, group: Group) -> list[VectorChunk]:
    """All chunks of a group."""
    return [kept(state.chunk.get(chunk_key(name, row))) for row in range(0, group.rows, CHUNK_ROWS)]


def kept(value: Any) -> Any:
    """A value that has to be there."""
    assert value is not None, "the tables of a group belong together"
    return value
