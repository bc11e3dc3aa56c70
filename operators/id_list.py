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
    return IdList(text, _ends(text, plain.count(END)))


def as_text(ids: IdList) -> str:
    """What `join` makes of the ids."""
    return ids.text.tobytes().decode()


def pick(ids: IdList, more: IdList, places: Places) -> list[str]:
    """The ids at some places; those of `more` come behind the others."""
    return split(as_text(_picked(ids, more, places)))


def follow(ids: IdList, told: str | Sequence[str], count: int, origin: Places) -> IdList:
    """The ids of rows that came from these places of known rows, and of so many told behind them.

    Args:
        ids: Of the known rows.
        told: The others, see `text_of`.
        count: Number of the others.
        origin: Places.

    Raises:
        ValueError: Another number of ids is told.
    """
    more = id_list(told)
    text, ends = more
    if len(ends) != count or (count and ends[-1] != len(text)):
        msg = f"a text of {len(ends)} ids for {count} rows"
        raise ValueError(msg)
    return _picked(ids, more, origin)


def take(ids: IdList, places: Places) -> IdList:
    """The ids at some places."""
    return _picked(ids, NOTHING, places)


def _picked(ids: IdList, more: IdList, places: Places) -> IdList:
    text, ends = np.empty(len(ids.text) + len(more.text), np.uint8), np.empty(len(places), np.int32)
    return IdList(text[: _pick(*ids, *more, places, text, ends)], ends)


@kernel
def _ends(text: Any, count: int) -> Any:
    """Places behind the ids of a text, of which there are `count`."""
    ends, number = np.empty(count, np.int32), 0
    for place in range(len(text)):
        if text[place] == _END_BYTE:
            ends[number] = place + 1
            number += 1
    return ends


@kernel
def _copy(text: Any, ends: Any, place: int, out: Any, at: int) -> int:
    """Copy one id to a place of `out`; the place behind it."""
    for byte in range(ends[place - 1] if place > 0 else 0, ends[place]):
        out[at] = text[byte]
        at += 1
    return at


@kernel
def _pick(
    text: Any, ends: Any, more: Any, more_ends: Any, places: Any, out: Any, out_ends: Any
) -> int:
    """Copy the ids at different places; how many bytes there are now."""
    at, known = 0, len(ends)
    for number in range(len(places)):
        place = places[number]
        if place < known:
            at = _copy(text, ends, place, out, at)
        else:
            at = _copy(more, more_ends, place - known, out, at)
        out_ends[number] = at
    return at


NOTHING = IdList(np.empty(0, np.uint8), np.empty(0, np.int32))
