"""What a batch says of each item, in order: the neighbours work on one item after the other."""

from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import numpy as np

from operators.messages import Learn, PairSeen, PairsSeen
from operators.runs import record_of
from operators.stage import scoped

MOMENT = itemgetter(0, 1)
"""Sort key of what is said of an item."""


class Told:
    """A batch taken apart.

    Attributes:
        by_key: By item (time, event id, what is said): a message, or the number of a pair.
        others: Of each pair.
        records: Of each pair, packed, see `runs.Run`.
    """

    def __init__(self, batch: Iterable[Any]) -> None:
        self.by_key: dict[str, list[tuple[int, str, Any]]] = defaultdict(list)
        self.others: list[str] = []
        self._packed: list[bytes] = []
        for message in batch:
            if isinstance(message, PairsSeen):
                self._take_pairs(message)
            else:
                self._take(message)
        self.records = b"".join(self._packed)

    def _take_pairs(self, message: PairsSeen) -> None:
        by_key, times_ms, event_ids = self.by_key, message.times_ms, message.event_ids
        events = np.frombuffer(message.events, "<u4").tolist()
        for number, (key, event) in enumerate(
            zip(message.keys, events, strict=True), len(self.others)
        ):
            by_key[key].append((times_ms[event], event_ids[event], number))
        others = message.others
        self.others += [others[event] for event in events]
        self._packed.append(message.records)

    def _take(self, message: Any) -> None:
        whom = message.counted.signal if isinstance(message, Learn) else message
        said: Any = message
        if isinstance(message, PairSeen) and message.figures:
            said = len(self.others)
            self.others.append(message.other)
            self._packed.append(record_of(message))
        key = scoped(whom.tenant, whom.item)
        self.by_key[key].append((message.time_ms, message.event_id, said))
