"""Pairs that an item has heard of, until somebody asks for the item.

An event tells up to twenty earlier items that something came after them, and nothing is answered to
that. Added at once, each pair would be a visit to an item and to a segment that are long out of
every cache, seven of them an event; waiting, those of an item are added together when the item is
touched itself. They are added in the order they came and before anything else that asks for the
item, so what is learned is the same to the bit.
"""

from dataclasses import dataclass, field

from operators.kernels import RUN_WORDS, ratio_of
from operators.messages import Learn
from operators.packing import raw_of
from operators.runs import Run, numbers_of, packed
from operators.stage import StructCodec

HEARD_MAX = 64
"""Pairs of an item that wait at the most: what a question costs must not grow."""

RECORD_BYTES = 4 * RUN_WORDS


@dataclass
class Heard:
    """Pairs of one item in order: ids of the others, and a packed record each, see `runs.Run`."""

    others: list[str] = field(default_factory=list)
    records: bytearray = field(default_factory=bytearray)

    def add(self, more: "Heard") -> "Heard":
        """Hear of more pairs; this one, for short."""
        self.others += more.others
        self.records += more.records
        return self

    def run(self, early: int = 0, before: float = 0.0) -> Run:
        """All of them; see there."""
        return Run(self.others, numbers_of(bytes(self.records)), early, before)


def learned(learn: Learn) -> Heard:
    """Pairs of an item with those that came before it."""
    if not learn.pairs:
        return Heard(learn.others, bytearray(learn.records))
    raw, heard = raw_of(learn.counted.figures), Heard()
    for other, weight, _, figures in learn.pairs:
        heard.others.append(other)
        heard.records += packed(figures, (0, weight, 0), ratio_of(raw_of(figures), raw))
    return heard


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
