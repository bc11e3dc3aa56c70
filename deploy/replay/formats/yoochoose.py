"""YooChoose (RecSys Challenge 2015): clicks and purchases of anonymous sessions.

`yoochoose-clicks.dat` has `session,time,item,category`, `yoochoose-buys.dat` has
`session,time,item,price,quantity`. A purchase is worth price times quantity, nothing where that
is not known (0). Category 0 means none; the first known one of an item counts.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.replay.batch import Batch
from deploy.replay.catalogue import Info
from deploy.replay.columns import Bad, numbers
from deploy.replay.files import Chunk, Delimited, find, head
from deploy.replay.loader import Loader
from deploy.replay.report import SourceError
from operators.events import Action

PREFIX: Final = "yc"
USUAL: Final[Action | None] = None

_CLICKS, _BUYS = "yoochoose-clicks.dat", "yoochoose-buys.dat"
_CLICK = re.compile(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+,[^,]*$")
_BUY = re.compile(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+,\d+,\d+$")
_NO_CATEGORY = {"0", ""}


def recognise(place: Path) -> bool:
    """Whether the first line is a click or a purchase."""
    return any(_is_buys(file) is not None for file in _files(place))


def load(place: Path, loader: Loader) -> None:
    """Read clicks, then purchases.

    Raises:
        SourceError: If there are neither, or a file cannot be read.
    """
    files = _files(place)
    if not files:
        msg = f"{place} has neither {_CLICKS} nor {_BUYS}, plain or .gz"
        raise SourceError(msg)
    for file in files:
        is_buys = bool(_is_buys(file))
        last = ("price", "quantity") if is_buys else ("category",)
        columns = ("session", "time", "item", *last)
        for chunk in Delimited(file, loader.report, quoted=False, columns=columns).chunks():
            _add(chunk, file, loader, is_buys=is_buys)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [file for name in (_CLICKS, _BUYS) if (file := find(place, name))]


def _is_buys(file: Path) -> bool | None:
    first = (head(file) or [""])[0]
    return True if _BUY.match(first) else False if _CLICK.match(first) else None


def _add(chunk: Chunk, file: Path, loader: Loader, *, is_buys: bool) -> None:
    sessions, times, items, *rest = chunk.columns
    batch = Batch(
        file=file,
        lines=chunk.lines,
        times=times,
        time_unit="iso",
        actions="purchase" if is_buys else "click",
        sessions=sessions,
        items=items,
        values=_amounts(*rest) if is_buys else None,
    )
    loader.add(batch, None if is_buys else lambda row: _info(rest[0][row]))


def _info(category: str) -> Info | None:
    return None if category in _NO_CATEGORY else {"categories": [category]}


def _amounts(prices: Sequence[str], quantities: Sequence[str]) -> list[str | float | None]:
    """Price times quantity; what is no number stays for the check to name."""
    bad: Bad = {}
    amounts = numbers("price", prices, bad) * numbers("quantity", quantities, bad)
    return [
        f"{prices[row]} * {quantities[row]}" if row in bad else amount or None
        for row, amount in enumerate(amounts.tolist())
    ]
