"""A small filter of the items a user knows, stored beside the user's list.

The reader adds items that became popular after the list was made; the user may know them. The
filter (Bloom, CACM 1970; double hashing by Kirsch and Mitzenmacher, 2008) never says no to a
known item; to an unknown one it says yes, and so hides it, with a probability of about 1 % up to
3,200 known items and more beyond, where its size stays.
"""

from collections.abc import Iterable

from operators.packing import item_key

PROBES = 7
BYTES_MIN, BYTES_MAX = 64, 4096
BITS_PER_ITEM = 10


def size_for(items: int) -> int:
    """Bytes of a filter of so many items: the next power of two, within bounds."""
    wanted = max(BYTES_MIN, items * BITS_PER_ITEM // 8)
    return min(BYTES_MAX, 1 << (wanted - 1).bit_length())


def _places(key: int, size: int) -> Iterable[int]:
    first, step = key & 0xFFFFFFFF, (key >> 32) | 1
    return ((first + n * step) % (8 * size) for n in range(PROBES))


def add(packed: bytearray, key: int) -> None:
    """Put an item key into a filter, in place."""
    for place in _places(key, len(packed)):
        packed[place >> 3] |= 1 << (place & 7)


def build(keys: Iterable[int], items: int) -> bytearray:
    """A filter of the right size for `items` keys."""
    packed = bytearray(size_for(items))
    for key in keys:
        add(packed, key)
    return packed


class SeenFilter:
    """Read side: `item in SeenFilter(packed)`; an empty filter knows nothing.

    >>> "i1" in SeenFilter(bytes(build([item_key("i1")], 1)))
    True
    >>> "i2" in SeenFilter(b"")
    False
    """

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __contains__(self, item: object) -> bool:
        if not self._packed:
            return False
        places = _places(item_key(str(item)), len(self._packed))
        return all(self._packed[place >> 3] >> (place & 7) & 1 for place in places)
