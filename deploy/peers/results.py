"""What a peer did, as a file that an evaluation can merge with its own outcomes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError

STARS = "stars"
"""Folder of the results without lists."""

Outcome = tuple[str, int | None]
"""Id of the event that was foretold, and the place of its item in the list; None for a miss."""


class Errors(Struct, frozen=True, kw_only=True):
    """Of expected stars.

    Attributes:
        mae: Mean absolute error.
        rmse: Root of the mean squared error.
        ratings: How many were foretold.
    """

    mae: float
    rmse: float
    ratings: int


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A peer on a data set.

    Attributes:
        name: Of the peer.
        version: Its library with the version.
        parameters: What it was run with.
        every: Interactions between two trainings.
        seconds_cpu: Time of all processors together.
        seconds_wall: Time on the clock.
        coverage: Share of the items that were among the first ten of any list.
        outcomes: In order of time; empty for a peer that makes no lists.
        errors: None for a peer that does not foretell ratings.
        note: How it learns, for a reader of the table.
        tuned_on: What the parameters were chosen on in this run; empty for those of the file.
    """

    name: str
    version: str
    parameters: dict[str, Any]
    every: int
    seconds_cpu: float
    seconds_wall: float
    coverage: float | None = None
    outcomes: list[Outcome] = []
    errors: Errors | None = None
    note: str = ""
    tuned_on: str = ""


def hit_rate(outcomes: Sequence[Outcome], k: int) -> float:
    """Share of the outcomes within the first k places; 0 if there are none.

    >>> hit_rate([("a", 1), ("b", 11), ("c", None), ("d", 10)], 10)
    0.5
    """
    return sum(rank is not None and rank <= k for _, rank in outcomes) / max(1, len(outcomes))


def ndcg(outcomes: Sequence[Outcome], k: int) -> float:
    """Mean of 1 / log2(1 + rank) within the first k places; with one right item, the ideal is 1.

    >>> ndcg([("a", 1), ("b", 3), ("c", None), ("d", 11)], 10)
    0.375
    """
    gains = (1 / math.log2(1 + rank) for _, rank in outcomes if rank is not None and rank <= k)
    return sum(gains) / max(1, len(outcomes))


def write(result: Result, folder: Path) -> Path:
    """Write NAME.json into a folder, and give the file.

    A peer without lists goes into the folder `stars`: a reader of lists would take it for one that
    misses everything.
    """
    file = (folder if result.outcomes else folder / STARS) / f"{result.name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(result))
    return file


def read_all(folder: Path) -> list[Result]:
    """Read what `write` wrote into a folder, by name.

    Raises:
        HeadwaterError: If a file is none of these.
    """
    found = []
    for file in sorted([*folder.glob("*.json"), *folder.glob(f"{STARS}/*.json")]):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=Result))
        except msgspec.DecodeError as error:
            msg = f"{file} is no result of `headwater peers`: {error}"
            raise HeadwaterError(msg) from error
    return found
