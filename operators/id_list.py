"""Ids of many rows as one piece of text, and loops that let them follow their rows.

A user's 200 candidates have an id each, and so have the 100 rows of every answer. As objects of
Python they are decoded, counted, moved and freed one by one, and lie all over the memory. As bytes
one behind the other they are not, and only those of a list are made objects: all stages together
take 346 us of CPU an event instead of 387.

An id may hold any character, so the one that ends an id is written as two within it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.kernels import kernel

Places = NDArray[np.int64]

END, ESCAPE = "\x00", "\x01"
_END_BYTE = ord(END)
_OTHER_NUMBER = "a text of another number of ids"
_WRITTEN = ((ESCAPE, f"{ESCAPE}1"), (END, f"{ESCAPE}0"))


class IdList(NamedTuple):
    """Ids in order.

    Attributes:
        text: Of all ids, as `join` writes them, in UTF-8.
        ends: Place behind each of them, shape (n,).
    """

    text: NDArray[np.uint8]
    ends: NDArray[np.int32]


def join(ids: Sequence[str]) -> str:
    r"""Ids as text, each with `END` behind it.

    >>> join(["a", "", "b\x00c"])
    'a\x00\x00b\x010c\x00'
    """
    text = END.join(ids) + END if ids else ""
    if ESCAPE not in text and text.count(END) == len(ids):
        return text
    for plain, written in _WRITTEN:
        ids = [one.replace(plain, written) for one in ids]
    return END.join(ids) + END


def split(text: str) -> list[str]:
    """The ids that `join` made it of."""
    ids = text.split(END)[:-1]
    if ESCAPE not in text:
        return ids
    for plain, written in reversed(_WRITTEN):
        ids = [one.replace(written, plain) for one in ids]
    return ids


def text_of(ids: str | Sequence[str]) -> str:
    """What messages and states hold: the text, or in those of earlier releases the ids."""
    return ids if isinstance(ids, str) else join(ids)


def id_list(ids: str | Sequence[str]) -> IdList:
    """The ids of a text, or of what `text_of` makes one of."""
    plain = text_of(ids)
    text = np.frombuffer(bytearray(plain.encode()), np.uint8)
    return IdList(text, ends_of(text, plain.count(END)))


def as_text(ids: IdList) -> str:
    """What `join` makes of the ids."""
    return ids.text.tobytes().decode()


def pick(ids: IdList, more: IdList, places: Places) -> list[str]:
    """The ids at some places; those of `more` come behind the others."""
    return split(as_text(_picked(ids, more, places)))


def take(ids: IdList, places: Places) -> IdList:
    """The ids at some places."""
    return _picked(ids, NOTHING, places)


def _picked(ids: IdList, more: IdList, places: Places) -> IdList:
    return IdList(*picked(*ids, *more, places))


@kernel
def ends_of(text: Any, count: int) -> Any:
    """Places behind the ids of a text, of which there have to be `count`."""
    ends, number, end = np.empty(count, np.int32), 0, 0
    for place in range(len(text)):
        if text[place] == _END_BYTE:
            number, end = number + 1, place + 1
            if number <= count:
                ends[number - 1] = end
    if number != count or end != len(text):
        raise ValueError(_OTHER_NUMBER)
    return ends


@kernel
def picked(text: Any, ends: Any, more: Any, more_ends: Any, places: Any) -> tuple[Any, Any]:
    """Text and ends of the ids at some places; those of `more` come behind the others."""
    known, size, out_ends = len(ends), 0, np.empty(len(places), np.int32)
    for number in range(len(places)):
        place = places[number]
        size += _length(ends, place) if place < known else _length(more_ends, place - known)
        out_ends[number] = size
    out, at = np.empty(size, np.uint8), 0
    for number in range(len(places)):
        place, end = places[number], out_ends[number]
        if place < known:
            _copy(text, ends[place], out, at, end)
        else:
            _copy(more, more_ends[place - known], out, at, end)
        at = end
    return out, out_ends


@kernel
def _length(ends: Any, place: int) -> Any:
    """Bytes of one id."""
    return ends[place] - ends[place - 1] if place > 0 else ends[place]


@kernel
def _copy(text: Any, behind: int, out: Any, at: int, end: int) -> None:
    """Copy the bytes before a place to those of `out` from `at` to `end`."""
    first = behind - end
    for byte in range(at, end):
        out[byte] = text[first + byte]


NOTHING = IdList(np.empty(0, np.uint8), np.empty(0, np.int32))
