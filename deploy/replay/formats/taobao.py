"""Taobao UserBehavior: `user,item,category,behaviour,unix seconds`, no header.

Data set 649 of Alibaba Tianchi. `pv` is a view, `fav` a favourite, `cart` and `buy` are cart and
purchase; an item has its category and no title.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from deploy.replay.batch import Batch
from deploy.replay.catalogue import Info
from deploy.replay.files import Delimited, find, head
from deploy.replay.loader import Loader
from deploy.replay.report import SourceError
from operators.events import Action

PREFIX: Final = "tb"
USUAL: Final[Action | None] = None

_FILE = "UserBehavior.csv"
_ROW = re.compile(r"[^,]+,[^,]+,[^,]+,(pv|fav|cart|buy),-?\d+$")
_ACTIONS = {"pv": "view", "fav": "favourite", "cart": "cart", "buy": "purchase"}


def recognise(place: Path) -> bool:
    """Whether the first line is a row of the data set."""
    file = place if place.is_file() else find(place, _FILE)
    return file is not None and bool(_ROW.match((head(file) or [""])[0]))


def load(place: Path, loader: Loader) -> None:
    """Read the behaviour; the first category of an item in the file counts.

    Raises:
        SourceError: If the file is missing or cannot be read.
    """
    file = place if place.is_file() else find(place, _FILE)
    if file is None:
        msg = f"{place} has no {_FILE}, plain or .gz"
        raise SourceError(msg)
    columns = ("user", "item", "category", "behaviour", "time")
    infos: dict[str, Info] = {}
    for chunk in Delimited(file, loader.report, quoted=False, columns=columns).chunks():
        users, items, categories, behaviours, times = chunk.columns
        batch = Batch(
            file=file,
            lines=chunk.lines,
            times=times,
            time_unit="s",
            actions=[_ACTIONS.get(word, word) for word in behaviours],
            users=users,
            items=items,
        )
        # Millions of items share some thousand categories: they share the dict as well.
        loader.add(batch, partial(_info, categories, infos))


def _info(categories: Sequence[str], infos: dict[str, Info], row: int) -> Info:
    category = categories[row]
    return infos.setdefault(category, {"categories": [category]} if category else {})
