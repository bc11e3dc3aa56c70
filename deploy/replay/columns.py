"""Cells to numbers, a column at a time; a cell that is none is named, the others pass."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from deploy.replay.options import TimeUnit

Cell = str | float | None
Bad = dict[int, str]
"""Row of a chunk → what is wrong with it; the first reason stays."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MS_PER: dict[TimeUnit, float] = {"s": 1000, "ms": 1, "us": 0.001}
_UNIT_NAMES: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}
_TIME_MAX_MS = 2**53


class Vocabulary(dict[str, int]):
    """Word → code, 0 and up in order of appearance; the empty word is no word and has code -1.

    >>> v = Vocabulary()
    >>> v.codes(["b", "a", "", "b"]).tolist(), v.words()
    ([0, 1, -1, 0], ['b', 'a'])
    """

    def __init__(self) -> None:
        super().__init__({"": -1})

    def __missing__(self, word: str) -> int:
        code = self[word] = len(self) - 1
        return code

    def codes(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Give each word's code; new words get one."""
        return np.fromiter(map(self.__getitem__, words), np.int32, len(words))

    def words(self) -> list[str]:
        """Give the words in the order of their codes."""
        return list(self)[1:]


def numbers(name: str, cells: Sequence[Cell], bad: Bad) -> NDArray[np.float64]:
    """Parse numbers.

    Args:
        name: The field, for the reasons.
        cells: Numbers or their text; None and the empty text are no number.
        bad: Gets the rows that hold something else.

    Returns:
        Float64, shape (rows,): finite, or NaN for no number and for bad rows.
    """
    try:
        parsed = np.fromiter(map(float, cells), np.float64, len(cells))  # type: ignore[arg-type]
        if np.isfinite(parsed).all():
            return parsed
    except (ValueError, TypeError, OverflowError):
        pass
    return np.fromiter((_number(name, i, c, bad) for i, c in enumerate(cells)), np.float64)


def _number(name: str, row: int, cell: Cell, bad: Bad) -> float:
    if cell is None or cell == "":
        return np.nan
    try:
        parsed = float(cell)
    except (ValueError, TypeError, OverflowError):
        parsed = np.nan
    if not np.isfinite(parsed):
        bad.setdefault(row, f"`{name}` is {cell!r}; a finite number is expected")
        return np.nan
    return parsed


def times_ms(cells: Sequence[Cell], unit: TimeUnit, bad: Bad) -> NDArray[np.int64]:
    """Parse times into UTC epoch milliseconds, rounded; 0 for bad rows.

    >>> times_ms(["1.5", "x"], "s", bad := {}).tolist(), bad
    ([1500, 0], {1: "`event_time` is 'x'; a finite number is expected"})
    """
    if unit == "iso":
        return np.fromiter((_iso_ms(i, c, bad) for i, c in enumerate(cells)), np.int64)
    parsed = numbers("event_time", cells, bad) * _MS_PER[unit]
    for row in np.flatnonzero(np.isnan(parsed)).tolist():
        expected = f"{_UNIT_NAMES[unit]} since 1970 are expected"
        bad.setdefault(row, f"`event_time` is {cells[row]!r}; {expected}")
    for row in np.flatnonzero((parsed < 0) | (parsed > _TIME_MAX_MS)).tolist():
        reason = f"`event_time` {cells[row]} is not a time from 1970 on, in {_UNIT_NAMES[unit]}"
        bad.setdefault(row, reason)
    parsed[list(bad)] = 0
    rounded: NDArray[np.int64] = np.rint(parsed).astype(np.int64)
    return rounded


def _iso_ms(row: int, cell: Cell, bad: Bad) -> int:
    try:
        time = datetime.fromisoformat(str(cell))
    except ValueError:
        time = _NEVER
    time_ms = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MS
    if time_ms < 0:
        expected = "an ISO time from 1970 on, like 2014-04-07T10:51:09Z, is expected"
        bad.setdefault(row, f"`event_time` is {cell!r}; {expected}")
    return max(0, time_ms)
