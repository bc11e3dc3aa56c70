"""The batches that wait in a worker while there is more than can be done, bucket by bucket.

Their text is in the journal, for a worker that starts anew; their messages are kept decoded, since
whether a batch may wait depends on whether anything in it is fresh.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from pyflink.datastream.timerservice import TimerService

from operators.flink.pacing import LATE_MS
from operators.flink.settling import Settling
from operators.flink.state import Journal

HELD_BYTES_MAX = 1_000_000
"""Length of what a bucket gathers at the most: a backlog must not become one batch."""


class Gathering:
    """What waits, and until when.

    Args:
        journal: Of the stage; it knows the text of what waits.
        decode: Makes messages of a batch's text.
        order: Sort key of a message, its time in the middle.
        settling: Knows the times that are for other things.
    """

    def __init__(
        self,
        journal: Journal,
        decode: Callable[[str], list[Any]],
        order: Callable[[Any], tuple[int, int, str]],
        settling: Settling,
    ) -> None:
        self._journal, self._decode, self._order = journal, decode, order
        self._settling = settling
        self._batches: dict[int, list[list[Any]]] = defaultdict(list)
        self._until_ms: dict[int, int] = {}

    def waits(self, bucket: int) -> bool:
        """Whether anything does."""
        return bool(self._journal.held(bucket))

    def is_due(self, bucket: int, now_ms: int) -> bool:
        """Whether its time is over; it is after a restore, where the time is not known."""
        return self.waits(bucket) and now_ms >= self._until_ms.get(bucket, 0)

    def add(
        self, bucket: int, payload: str, batch: list[Any], hold_ms: int, timers: TimerService
    ) -> bool:
        """Let a batch wait behind those before it for so long, and see to a timer for them.

        Args:
            bucket: Flink's current key.
            payload: The batch as it came; `batch` is what it says.
            batch: Its messages.
            hold_ms: How long it waits; 0 for not at all.
            timers: Of Flink.

        Returns:
            Whether all of them are to be worked on now instead.
        """
        batches = self._batches_of(bucket)
        length = self._journal.hold(bucket, payload)
        batches.append(batch)
        if not hold_ms or length >= HELD_BYTES_MAX:
            return True
        until_ms = self._settling.beside(bucket, timers.current_processing_time() + hold_ms)
        if len(batches) == 1 or until_ms < self._until_ms.get(bucket, 0):
            self._until_ms[bucket] = until_ms
            timers.register_processing_time_timer(self._until_ms[bucket])
        return False

    def take(self, bucket: int) -> list[Any]:
        """The messages of all that waits; it is worked on now, and the journal says so."""
        batches = self._batches_of(bucket)
        self._journal.release(bucket)
        del self._batches[bucket]
        return list(chain.from_iterable(batches))

    def _batches_of(self, bucket: int) -> list[list[Any]]:
        """Of a bucket, after a restore from the journal."""
        texts = self._journal.held(bucket)
        if len(self._batches[bucket]) < len(texts):
            self._batches[bucket] = [self._decode(text) for text in texts]
        return self._batches[bucket]

    def is_late(self, batch: Sequence[Any], now_ms: int) -> bool:
        """Whether all of a batch is."""
        fresh_from_ms = now_ms - LATE_MS
        return all(self._order(message)[1] < fresh_from_ms for message in batch)
