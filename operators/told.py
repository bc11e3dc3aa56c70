"""What a batch says of each item, in order: the neighbours work on one item after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from operators.heard import RECORD_BYTES, Heard
from operators.messages import Learn, PairSeen, PairsSeen
from operators.runs import numbers_of, record_of
from operators.stage import scoped

_NO_RECORD = bytes(RECORD_BYTES)


class Told:
    """A batch taken apart into what is said: pairs, and messages that are said whole.

    Pairs of one event share their moment and their other item, so they share a source.
    """

    def __init__(self, batch: Iterable[Any]) -> None:
        # By source: its moment, the message or the other item, and whether it is a message.
        self._moments: list[tuple[int, str]] = []
        self._what: list[Any] = []
        self._whole: list[bool] = []
        # By what is said: number of the item, number of the source, and the record of a pair.
        self._items: list[int] = []
        self._sources: list[int] = []
        self._records: list[bytes] = []
        self._numbers: dict[str, int] = defaultdict(lambda: len(self._numbers))
        for message in batch:
            if isinstance(message, PairsSeen):
                self._take_pairs(message)
            else:
                self._take(message)

    def by_item(self) -> Iterator[tuple[str, Any]]:
        """Item by item and in order of the moments: key of the item, and a message or pairs."""
        count = len(self._moments)
        ranks = np.empty(count, np.int64)
        ranks[sorted(range(count), key=self._moments.__getitem__)] = np.arange(count)
        items, sources = np.array(self._items, np.int64), np.array(self._sources, np.int64)
        order = (items * count + ranks[sources]).argsort(kind="stable")
        items, sources = items[order], sources[order]
        records = numbers_of(b"".join(self._records))[order].tobytes()
        said = list(map(self._what.__getitem__, sources.tolist()))
        whole = np.array(self._whole, bool)[sources]
        begins = np.ones(len(items), bool)
        begins[1:] = (items[1:] != items[:-1]) | whole[1:] | whole[:-1]
        starts, keys = np.flatnonzero(begins), list(self._numbers)
        places = [*starts.tolist(), len(said)]
        for number, (item, alone) in enumerate(
            zip(items[starts].tolist(), whole[starts].tolist(), strict=True)
        ):
            start, end = places[number : number + 2]
            packed = records[RECORD_BYTES * start : RECORD_BYTES * end]
            yield keys[item], said[start] if alone else Heard(said[start:end], bytearray(packed))

    def _take_pairs(self, message: PairsSeen) -> None:
        self._items += map(self._numbers.__getitem__, message.keys)
        events = np.frombuffer(message.events, "<u4")
        self._sources += (events + len(self._moments)).tolist()
        self._moments += zip(message.times_ms, message.event_ids, strict=True)
        self._what += message.others
        self._whole += [False] * len(message.others)
        self._records.append(message.records)

    def _take(self, message: Any) -> None:
        whom = message.counted.signal if isinstance(message, Learn) else message
        pair = isinstance(message, PairSeen) and bool(message.figures)
        self._items.append(self._numbers[scoped(whom.tenant, whom.item)])
        self._sources.append(len(self._moments))
        self._moments.append((message.time_ms, message.event_id))
        self._what.append(message.other if pair else message)
        self._whole.append(not pair)
        self._records.append(record_of(message) if pair else _NO_RECORD)
