"""Pairs that an item has heard of, until somebody asks for the item.

An event tells up to twenty earlier items that something came after them, and nothing is answered to
that. Added at once, each pair would be a visit to an item and to a segment that are long out of
every cache, seven of them an event; waiting, those of an item are added together when the item is
touched itself: in batches of six events 87 us of CPU an event instead of 126. They are added in the
order they came and before anything else that asks for the item, so what is learned is the same to
the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from operators.kernels import RUN_WORDS
from operators.runs import Run, numbers_of
from operators.stage import StructCodec

HEARD_MAX = 64
"""Pairs of an item that wait at the most: what a question costs must not grow."""

RECORD_BYTES = 4 * RUN_WORDS


@dataclass
class Heard:
    """Pairs of one item in order: ids of the others, and a packed record each, see `runs.Run`."""

    others: list[str] = field(default_factory=list)
    records: bytearray = field(default_factory=bytearray)

    def add(self, others: Sequence[str], records: bytes, numbers: Sequence[int]) -> None:
        """Hear of those of many pairs that have these numbers."""
        for number in numbers:
            self.others.append(others[number])
            self.records += records[RECORD_BYTES * number : RECORD_BYTES * (number + 1)]

    def run(self, start: int, end: int) -> Run:
        """The pairs from one number to another."""
        records = bytes(self.records[RECORD_BYTES * start : RECORD_BYTES * end])
        return Run(self.others[start:end], numbers_of(records))


class HeardCodec:
    """`Heard` as MessagePack."""

    version = 1
    weight = 10
    _inner: StructCodec[tuple[list[str], bytes]] = StructCodec(tuple[list[str], bytes])

    def encode(self, value: Heard) -> bytes:
        return self._inner.encode((value.others, bytes(value.records)))

    def decode(self, data: bytes) -> Heard:
        others, records = self._inner.decode(data)
        return Heard(others, bytearray(records))
