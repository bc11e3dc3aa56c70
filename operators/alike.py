"""What the neighbours keep of one item's content: what it says, and the items that say the like.

Content is no truth of users: it is what the newest records of the two items say, so it needs no
erasure, and a replay of the records alone rebuilds it. A similarity was taken between two vectors
of one model version, whoever stored it, so rows of records of different versions stand side by
side; the codes of `About` are compared only where their versions are equal.
"""

from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators import kernels
from operators.messages import About, Grown, Near
from operators.packing import FIGURES, Keys, Words, key_of
from operators.stage import StructCodec

FIGURES_WORDS = FIGURES.itemsize // 4
OWN, OTHERS = 0, 1


def _no_figures() -> NDArray[np.uint32]:
    return np.empty((0, FIGURES_WORDS), np.uint32)


@dataclass
class ItemContent:
    """One item.

    Attributes:
        about: What it says; None where no record of its own is known.
        title: What it is called; empty where that is not known.
        clock_us: Write time of the last row of similar items.
        ids: Items that say the like, in order of arrival.
        keys: `packing.item_key` of each.
        sims: Cosine by the item's own record and by that of the other, 0 for none, shape (n, 2).
        figures: `packing.FIGURES` of each when it was named last, or when last twice as many users
            had touched it, as words, shape (n, 11).
    """

    about: About | None = None
    title: str = ""
    clock_us: int = 0
    ids: list[str] = field(default_factory=list)
    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    sims: Words = field(default_factory=lambda: np.empty((0, 2), np.float32))
    figures: NDArray[np.uint32] = field(default_factory=_no_figures)


class _Stored(Struct, array_like=True):
    about: About | None
    title: str
    clock_us: int
    ids: list[str]
    keys: bytes
    sims: bytes
    figures: bytes


class ContentCodec:
    """`ItemContent` as MessagePack."""

    version = 1
    weight = 20
    _inner: StructCodec[_Stored] = StructCodec(_Stored)

    def encode(self, value: ItemContent) -> bytes:
        return self._inner.encode(
            _Stored(
                value.about, value.title, value.clock_us, value.ids, value.keys.tobytes(),
                value.sims.tobytes(), value.figures.tobytes(),
            )
        )  # fmt: skip

    def decode(self, data: bytes) -> ItemContent:
        stored = self._inner.decode(data)
        return ItemContent(
            stored.about, stored.title, stored.clock_us, stored.ids,
            np.frombuffer(stored.keys, "<u8"),
            np.frombuffer(stored.sims, "<f4").reshape(-1, 2),
            np.frombuffer(stored.figures, "<u4").reshape(-1, FIGURES_WORDS),
        )  # fmt: skip


def meet(content: ItemContent, near: Near, rows_max: int) -> None:
    """Note that two items say the like, or that one record no longer says so.

    Of more than `rows_max` items the most similar stay; of equal ones those of the smallest key,
    so that the order of arrival does not decide.
    """
    key = np.uint64(key_of(near.figures))
    place = kernels.place_of(content.keys, len(content.keys), key)
    if place == kernels.NOWHERE:
        if near.similarity <= 0:
            return
        place = len(content.ids)
        content.ids = [*content.ids, near.other]
        content.keys = np.append(content.keys, key)
        content.sims = np.append(content.sims, np.zeros((1, 2), np.float32), axis=0)
        empty = np.zeros((1, FIGURES_WORDS), np.uint32)
        content.figures = np.append(content.figures, empty, axis=0)
    else:
        content.sims, content.figures = content.sims.copy(), content.figures.copy()
    content.sims[place, OWN if near.own else OTHERS] = near.similarity
    content.figures[place] = np.frombuffer(near.figures, "<u4")
    _bound(content, rows_max)


def renew(content: ItemContent, grown: Grown) -> bool:
    """Note the newer figures of an item that says the like; whether it is known here."""
    place = kernels.place_of(content.keys, len(content.keys), np.uint64(key_of(grown.figures)))
    if place == kernels.NOWHERE:
        return False
    content.figures = content.figures.copy()
    content.figures[place] = np.frombuffer(grown.figures, "<u4")
    return True


def _bound(content: ItemContent, rows_max: int) -> None:
    sims = content.sims.max(axis=1)
    kept = np.flatnonzero(sims > 0)
    if len(kept) > rows_max:
        best = np.lexsort((content.keys[kept], -sims[kept]))[:rows_max]
        kept = np.sort(kept[best])
    if len(kept) < len(content.ids):
        content.ids = [content.ids[place] for place in kept.tolist()]
        content.keys, content.sims = content.keys[kept], content.sims[kept]
        content.figures = content.figures[kept]
