"""The stage of `understand`, by tenant: keeps the catalogue's vectors, finds content neighbours.

An item's vector goes into the chunks of its tenant and encoder; the map that makes vectors
comparable (`operators.whitening`) is fitted anew when the catalogue has grown to the next of
`map_counts`, and every item is then published again under the next version: a handful of times,
then never more. Vectors of two encoders lie in groups of their own and never meet.

A version is complete, and a marker says so, when every item that the stage knows has been
published in it and the catalogue has been read to where it ended when the job began. A new encoder
therefore begins with a job without a savepoint, on the first record of the compacted topic: its
marker is the moment it takes over.

Topics are those of the readings, or of the tenant's own clusters (`operators.own_topics`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field

from operators import own_topics, publishing, readings
from operators.clusters import Clusters, ClusterSettings, Sample
from operators.features_wire import encode, marker_key
from operators.own_topics import OwnTopics, Use
from operators.placing import (
    CatalogueState,
    Group,
    ItemPlace,
    chunk_key,
    chunk_of,
    chunks_of,
    kept,
    place_of,
    space_of,
)
from operators.publishing import wide
from operators.readings import CaughtUp, ItemLeft, ItemRead, Record, TextRead, Weights
from operators.stage import COUNT, Codec, Out, StructCodec, scoped, settle_nothing, tick
from operators.vectors import CHUNK_ROWS, Hit, VectorChunkCodec, nearest
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


Message = ItemRead | ItemLeft | TextRead | CaughtUp

Changed = dict[str, dict[str, bool]]
"""By tenant and encoder, items to be published, and whether their text is a new one."""


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
        "clusters": StructCodec(Clusters),
    }
    state_type = CatalogueState
    order = staticmethod(readings.order)
    settle = staticmethod(settle_nothing)

    def __init__(
        self,
        settings: CatalogueSettings,
        clusters: ClusterSettings | None = None,
        use: Use = "off",
    ) -> None:
        self._settings = settings
        self._own = OwnTopics(clusters or ClusterSettings(), use)

    def apply(self, state: CatalogueState, batch: Sequence[Message]) -> list[Out]:
        outs: list[Out] = []
        changed: Changed = {}
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

    def _take(self, state: CatalogueState, message: ItemRead, changed: Changed) -> None:
        key = scoped(message.tenant, message.item)
        known = state.item.get(key)
        if known is not None and message.time_ms < known.time_ms:
            return  # the newest record of an item counts
        reading = message.reading
        group = scoped(message.tenant, reading.encoder)
        is_new = known is None or known.reading.encoded != reading.encoded
        teaches = is_new or changed.get(group, {}).get(message.item, False)
        place = ItemPlace(message.time_ms, 0, -1, message.content, reading)
        if known is None:
            state.size.put(message.tenant, (state.size.get(message.tenant) or 0) + 1)
        else:
            place.clock_us = known.clock_us
            self._vacate(state, message.tenant, message.item, known, changed)
        place.row = self._settle_in(state, group, message, is_new=is_new)
        state.item.put(key, place)
        changed.setdefault(group, {})[message.item] = teaches

    def _vacate(
        self,
        state: CatalogueState,
        tenant: str,
        item: str,
        known: ItemPlace,
        changed: Changed,
    ) -> None:
        """Free the row of an item."""
        name = scoped(tenant, known.reading.encoder)
        changed.get(name, {}).pop(item, None)
        group = kept(state.group.get(name))
        group.items -= 1
        if known.row >= 0:
            chunk = chunk_of(state, name, known.row, len(known.reading.encoded) // 2)
            chunk.set(known.row % CHUNK_ROWS, "", np.zeros(chunk.encoded.shape[1], np.float16))
            state.chunk.put(chunk_key(name, known.row), chunk)
            group.free.append(known.row)
        state.group.put(name, group)

    def _settle_in(
        self, state: CatalogueState, name: str, message: ItemRead, *, is_new: bool
    ) -> int:
        """Count an item into its group; the row of its vector, -1 if it has none."""
        group = state.group.get(name) or Group()
        group.items += 1
        group.time_ms = max(group.time_ms, message.time_ms)
        row = -1
        if message.reading.encoded:
            row = group.free.pop() if group.free else group.rows
            group.rows = max(group.rows, row + 1)
            self._store(state, name, group, row, message, is_new=is_new)
        state.group.put(name, group)
        return row

    def _store(
        self,
        state: CatalogueState,
        name: str,
        group: Group,
        row: int,
        message: ItemRead,
        *,
        is_new: bool,
    ) -> None:
        """Write a vector into its row; count it into the sums of the map if it is a new one."""
        encoded = np.frombuffer(message.reading.encoded, "<f2")
        chunk = chunk_of(state, name, row, len(encoded))
        chunk.set(row % CHUNK_ROWS, message.item, encoded)
        state.chunk.put(chunk_key(name, row), chunk)
        if is_new and group.version < len(self._settings.map_counts):
            moments = state.moments.get(name) or Moments.none(len(encoded))
            moments.add(encoded.astype(np.float32)[None])
            state.moments.put(name, moments)

    def _drop(self, state: CatalogueState, message: ItemLeft, changed: Changed) -> list[Out]:
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

    def _publish(self, state: CatalogueState, name: str, changed: Mapping[str, bool]) -> list[Out]:
        """Features of the items of a group, or of all its items if its map is fitted anew."""
        group, space, items = kept(state.group.get(name)), space_of(state, name), list(changed)
        if anew := (version := self._due(state, name)) > group.version:
            space = fit(kept(state.moments.get(name)), version)
            state.map.put(name, space)
            group.version = version
            state.group.put(name, group)
            bare = [item for item in items if place_of(state, name, item).row < 0]
            items = [*self._all_items(state, name, group), *bare]
        counted = self._teach(state, name, group, changed, anew=anew)
        places = [place_of(state, name, item) for item in items]
        near = self._neighbours(state, name, group, space, items, places)
        topics = self._own.of(state.clusters, name, [place.reading for place in places])
        tenant = name.partition("\x1f")[0]
        outs = []
        for item, place, found, about in zip(items, places, near, topics, strict=True):
            place.clock_us = tick(place.clock_us, place.time_ms)
            state.item.put(scoped(tenant, item), place)
            record = publishing.features(tenant, item, place, found, about, space)
            outs += _told(item, Record(item, encode(record).decode(), place.clock_us))
        counted += [Out(COUNT, "published", len(items))] if outs else []
        without = sum(not about for about in topics)
        return [*outs, *counted, *([Out(COUNT, "without_topic", without)] if without else [])]

    def _teach(
        self,
        state: CatalogueState,
        name: str,
        group: Group,
        changed: Mapping[str, bool],
        *,
        anew: bool,
    ) -> list[Out]:
        """Let items with a new text teach the clusters of their group; counters."""

        def samples(items: Iterable[str]) -> list[Sample]:
            places = [(item, place_of(state, name, item)) for item in items]
            return [own_topics.sample(item, at.reading) for item, at in places if at.row >= 0]

        return self._own.teach(
            state.clusters, name, samples(item for item, is_new in changed.items() if is_new),
            lambda: samples(own_topics.even(self._all_items(state, name, group))),
            items=group.rows - len(group.free), version=group.version, anew=anew,
        )  # fmt: skip

    def _due(self, state: CatalogueState, name: str) -> int:
        """The version that the map should have: how many of the counts have been reached."""
        moments = state.moments.get(name)
        return sum(moments.count >= count for count in self._settings.map_counts) if moments else 0

    def _all_items(self, state: CatalogueState, name: str, group: Group) -> list[str]:
        chunks = chunks_of(state, name, group)
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
            chunks_of(state, name, group), space, self._settings.neighbours,
            self._settings.similarity_min,
        )  # fmt: skip
        for at, one in zip(with_vector, hits, strict=True):
            found[at] = one
        return found

    def _signals(self, state: CatalogueState, written: Sequence[TextRead]) -> list[Out]:
        groups: dict[str, list[int]] = {}
        for at, text in enumerate(written):
            groups.setdefault(scoped(text.tenant, text.reading.encoder), []).append(at)
        topics: dict[int, Weights] = {}
        for name, places in groups.items():
            said = [written[at].reading for at in places]
            found = self._own.of(state.clusters, name, said)
            topics.update(zip(places, found, strict=True))
        outs = []
        for at, text in enumerate(written):
            space = space_of(state, scoped(text.tenant, text.reading.encoder))
            value = encode(publishing.signal(text, topics[at], space)).decode()
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
            group = kept(state.group.get(name))
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


def _told(item: str, record: Record) -> list[Out]:
    """A record for the topic, and for the writer of vectors, which needs its write time."""
    return [Out("features", item, record), Out("vectors", item, record)]
