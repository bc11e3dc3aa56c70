"""Which rows of a run count, and what they mean.

All protocols look at the same run: a list is judged by the next thing its user does, and was made
of nothing later. They differ in the rows they take, and `last-out` in the order of the events.
"""

from typing import Literal, get_args

import numpy as np
from msgspec import Struct

from deploy.evaluation.judged import Flags, Ints, Judged

Protocol = Literal["prequential", "split", "last-out"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)

TRAIN_SHARE, VALIDATION_SHARE = 0.8, 0.1
"""Shares of the events, by time; the rest is the test part."""


class Cuts(Struct, frozen=True):
    """Where the parts of a data set begin, UTC epoch milliseconds; train begins with the first."""

    validation_ms: int
    test_ms: int


def cuts_of(times_ms: Ints) -> Cuts:
    """Cut the time of a data set once for all users: 80 % of the events, 10 %, 10 %.

    Events of one moment fall into the same part, so the shares are not exact.
    """
    ordered = np.sort(times_ms)
    places = (len(ordered) * np.array([TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE])).astype(int)
    validation_ms, test_ms = ordered[np.minimum(places, len(ordered) - 1)].tolist()
    return Cuts(validation_ms, test_ms)


def last_of_each_user(judged: Judged, rows: Flags) -> Flags:
    """Of the given rows the last one of each user, shape (n,)."""
    places = np.flatnonzero(rows)
    last = np.zeros(len(judged), bool)
    _, from_the_end = np.unique(judged.user[places][::-1], return_index=True)
    last[places[::-1][from_the_end]] = True
    return last


def selections(judged: Judged, cuts: Cuts) -> dict[str, Flags]:
    """Rows by the name of the selection, all of them positives."""
    positive = judged.positives()
    in_test = judged.time_ms >= cuts.test_ms
    half = np.cumsum(positive) > positive.sum() // 2
    return {
        "all": positive,
        "second_half": positive & half,
        "validation": positive & (judged.time_ms >= cuts.validation_ms) & ~in_test,
        "test": positive & in_test,
        "last_of_user": last_of_each_user(judged, positive),
    }


HEADLINE: dict[str, str] = {"prequential": "all", "split": "test", "last-out": "last_of_user"}
"""The selection that is the number of a protocol."""
