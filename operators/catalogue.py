"""The stage of `understand`, by tenant: keeps the catalogue's vectors, finds content neighbours.

An item's vector goes into the chunks of its tenant and encoder; the map that makes vectors
comparable (`operators.whitening`) is fitted anew when the catalogue has grown to the next of
`map_counts`, and every item is then published again under the next version: a handful of times,
then never more. Vectors of two encoders lie in groups of their own and never meet.

A version is complete, and a marker says so, when every item that the stage knows has been
published in it and the catalogue has been read to where it ended when the job began. A new encoder
therefore begins with a job without a savepoint, on the first record of the compacted topic: its
marker is the moment it takes over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct, field

from operators import publishing, readings
from operators.features_wire import encode, marker_key
from operators.publishing import wide
from operators.readings import CaughtUp, ItemLeft, ItemRead, Reading, Record, TextRead
from operators.stage import COUNT, Codec, Out, StructCodec, Table, scoped, settle_nothing, tick
from operators.vectors import CHUNK_ROWS, Hit, VectorChunk, VectorChunkCodec, nearest
from operators.whitening import Moments, MomentsCodec, SpaceMap, SpaceMapCodec, fit


class CatalogueSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the stage; all may change under a running state.

    Attributes:
        neighbours: Length of an item's list of content neighbours.
        similarity_min: Cosine below which an item is no neighbour.
        map_counts: Numbers of items at which the map is fitted anew, ascending; after the last one
            it stays, and the sums behind it rest.
    """

    neighbours: int = 20
    similarity_min: float = 0.05
    map_counts: list[int] = field(default_factory=lambda: [64, 512, 4096])


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


Message = ItemRead | ItemLeft | TextRead | CaughtUp


class Catalogue:
    """See the module."""

    name = "catalogue"
    inputs = Message
    codecs: Mapping[str, Codec[Any]] = {
        "item": StructCodec(ItemPlace),
        "size": StructCodec(int),
        "group": StructCodec(Group),
        "chunk": VectorChunkCodec(),
        "moments": MomentsCodec(),
        "map": SpaceMapCodec(),
        "passed": StructCodec(list[int]),
    }
    state_type = CatalogueState
    order = staticmethod(readings.order)
    settle = staticmethod(settle_nothing)

    def __init__(self, settings: CatalogueSettings) -> None:
        self._settings = settings

    def apply(self, state: CatalogueState, batch: Sequence[Message]) -> list[Out]:
        outs: list[Out] = []
        changed: dict[str, dict[str, None]] = {}
        written: list[TextRead] = []
        for message in batch:
            if isinstance(message, ItemRead):
                self._take(state, message, changed)
            elif isinstance(message, ItemLeft):
                outs += self._drop(state, message, changed)
            elif isinstance(message, TextRead):
                written.append(message)
            else:
                self._pass(state, message)
        for group in sorted(changed):
            outs += self._publish(state, group, changed[group])
        outs += self._signals(state, written)
        return outs + self._markers(state, changed, batch)

    # --- items come and go

    def _take(
        self, state: CatalogueState, message: ItemRead, changed: dict[str, dict[str, None]]
    ) -> None:
        key = scoped(message.tenant, message.item)
        known = state.item.get(key)
        if known is not None and message.time_ms < known.time_ms:
            return  # the newest record of an item counts
        reading = message.reading
        group = scoped(message.tenant, reading.encoder)
        place = ItemPlace(message.time_ms, 0, -1, message.content, reading)
        if known is None:
            state.size.put(message.tenant, (state.size.get(message.tenant) or 0) + 1)
        else:
            place.clock_us = known.clock_us
            self._vacate(state, message.tenant, message.item, known, changed)
        place.row = self._settle_in(state, group, message, known)
        state.item.put(key, place)
        changed.setdefault(group, {})[message.item] = None

    def _vacate(
        self,
        state: CatalogueState,
        tenant: str,
        item: str,
        known: ItemPlace,
        changed: dict[str, dict[str, None]],
    ) -> None:
        """Free the row of an item."""
        name = scoped(tenant, known.reading.encoder)
        changed.get(name, {}).pop(item, None)
        group = _known(state.group.get(name))
        group.items -= 1
        if known.row >= 0:
            chunk = _chunk(state, name, known.row, len(known.reading.encoded) // 2)
            chunk.set(known.row % CHUNK_ROWS, "", np.zeros(chunk.encoded.shape[1], np.float16))
            state.chunk.put(_chunk_key(name, known.row), chunk)
            group.free.append(known.row)
        state.group.put(name, group)

    def _settle_in(
        self, state: CatalogueState, name: str, message: ItemRead, known: ItemPlace | None
    ) -> int:
        """Count an item into its group; the row of its vector, -1 if it has none."""
        group = state.group.get(name) or Group()
        group.items += 1
        group.time_ms = max(group.time_ms, message.time_ms)
        row = -1
        if message.reading.encoded:
            row = group.free.pop() if group.free else group.rows
            group.rows = max(group.rows, row + 1)
            self._store(state, name, group, row, message, known)
        state.group.put(name, group)
        return row

    def _store(
        self,
        state: CatalogueState,
        name: str,
        group: Group,
        row: int,
        message: ItemRead,
        known: ItemPlace | None,
    ) -> None:
        """Write a vector into its row; count it into the sums of the map if it is a new one."""
        encoded = np.frombuffer(message.reading.encoded, "<f2")
        chunk = _chunk(state, name, row, len(encoded))
        chunk.set(row % CHUNK_ROWS, message.item, encoded)
        state.chunk.put(_chunk_key(name, row), chunk)
        is_new = known is None or known.reading.encoded != message.reading.encoded
        if is_new and group.version < len(self._settings.map_counts):
            moments = state.moments.get(name) or Moments.none(len(encoded))
            moments.add(encoded.astype(np.float32)[None])
            state.moments.put(name, moments)

    def _drop(
        self, state: CatalogueState, message: ItemLeft, changed: dict[str, dict[str, None]]
    ) -> list[Out]:
        key = scoped(message.tenant, message.item)
        known = state.item.get(key)
        if known is None or message.time_ms < known.time_ms:
            return []
        self._vacate(state, message.tenant, message.item, known, changed)
        state.item.delete(key)
        state.size.put(message.tenant, (state.size.get(message.tenant) or 1) - 1)
        clock_us = tick(known.clock_us, message.time_ms)
        return _told(message.item, Record(message.item, None, clock_us))

    # --- what is published

    def _publish(self, state: CatalogueState, name: str, items: Mapping[str, None]) -> list[Out]:
        """Features of the items of a group, or of all its items if its map is fitted anew."""
        group, space = _known(state.group.get(name)), _space(state, name)
        if (version := self._due(state, name)) > group.version:
            space = fit(_known(state.moments.get(name)), version)
            state.map.put(name, space)
            group.version = version
            state.group.put(name, group)
            bare = [item for item in items if _place(state, name, item).row < 0]
            items = dict.fromkeys([*self._all_items(state, name, group), *bare])
        places = [_place(state, name, item) for item in items]
        near = self._neighbours(state, name, group, space, list(items), places)
        tenant = name.partition("\x1f")[0]
        outs = []
        for item, place, found in zip(items, places, near, strict=True):
            place.clock_us = tick(place.clock_us, place.time_ms)
            state.item.put(scoped(tenant, item), place)
            value = encode(publishing.features(tenant, item, place, found, space)).decode()
            outs += _told(item, Record(item, value, place.clock_us))
        return [*outs, Out(COUNT, "published", len(items))] if outs else []

    def _due(self, state: CatalogueState, name: str) -> int:
        """The version that the map should have: how many of the counts have been reached."""
        moments = state.moments.get(name)
        return sum(moments.count >= count for count in self._settings.map_counts) if moments else 0

    def _all_items(self, state: CatalogueState, name: str, group: Group) -> Iterable[str]:
        chunks = _chunks(state, name, group)
        return sorted(item for chunk in chunks for item in chunk.ids if item)

    def _neighbours(
        self,
        state: CatalogueState,
        name: str,
        group: Group,
        space: SpaceMap,
        items: Sequence[str],
        places: Sequence[ItemPlace],
    ) -> list[list[Hit]]:
        found: list[list[Hit]] = [[] for _ in items]
        with_vector = [at for at, place in enumerate(places) if place.row >= 0]
        if not with_vector:
            return found
        encoded = np.stack([wide(places[at].reading) for at in with_vector])
        hits = nearest(
            space.apply(encoded), [items[at] for at in with_vector],
            _chunks(state, name, group), space, self._settings.neighbours,
            self._settings.similarity_min,
        )  # fmt: skip
        for at, one in zip(with_vector, hits, strict=True):
            found[at] = one
        return found

    def _signals(self, state: CatalogueState, written: Sequence[TextRead]) -> list[Out]:
        outs = []
        for text in written:
            space = _space(state, scoped(text.tenant, text.reading.encoder))
            value = encode(publishing.signal(text, space)).decode()
            outs.append(Out("signals", text.user, Record(text.user, value, 1000 * text.time_ms)))
        return outs

    # --- what is complete

    def _pass(self, state: CatalogueState, message: CaughtUp) -> None:
        """Note a partition; the last one of all leaves the list [-1]."""
        known = state.passed.get(message.encoder) or []
        if known == [-1] or message.partition in known:
            return
        passed = sorted([*known, message.partition])
        state.passed.put(message.encoder, [-1] if len(passed) == message.partitions else passed)

    def _markers(
        self, state: CatalogueState, changed: Iterable[str], batch: Sequence[Message]
    ) -> list[Out]:
        """A marker for each group whose version has become complete."""
        passed = any(isinstance(message, CaughtUp) for message in batch)
        names = state.group.all_keys() if passed else sorted(changed)
        outs = []
        for name in names:
            group = _known(state.group.get(name))
            tenant, _, encoder = name.partition("\x1f")
            complete = (
                bool(encoder)
                and group.marked != group.version
                and state.passed.get(encoder) == [-1]
                and group.items == state.size.get(tenant)
            )
            if not complete:
                continue
            group.marked = group.version
            state.group.put(name, group)
            marker = publishing.marker(tenant, encoder, group.version, group.time_ms)
            record = Record(marker_key(tenant), encode(marker).decode(), 1000 * group.time_ms)
            outs.append(Out("features", record.key, record))
        return outs


def _space(state: CatalogueState, name: str) -> SpaceMap:
    return state.map.get(name) or SpaceMap(0)


def _place(state: CatalogueState, name: str, item: str) -> ItemPlace:
    place: ItemPlace = _known(state.item.get(scoped(name.partition("\x1f")[0], item)))
    return place


def _chunk_key(name: str, row: int) -> str:
    return f"{name}\x1f{row // CHUNK_ROWS:06d}"


def _chunk(state: CatalogueState, name: str, row: int, dimensions: int) -> VectorChunk:
    return state.chunk.get(_chunk_key(name, row)) or VectorChunk.empty(dimensions)


def _chunks(state: CatalogueState, name: str, group: Group) -> list[VectorChunk]:
    return [
        _known(state.chunk.get(_chunk_key(name, row))) for row in range(0, group.rows, CHUNK_ROWS)
    ]


def _known(value: Any) -> Any:
    assert value is not None, "the tables of a group belong together"
    return value


def _told(item: str, record: Record) -> list[Out]:
    """A record for the topic, and for the writer of vectors, which needs its write time."""
    return [Out("features", item, record), Out("vectors", item, record)]
