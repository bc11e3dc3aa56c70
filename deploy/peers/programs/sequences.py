"""Histories as arrays, for the models that are trained on sequences."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .past import Past


class Lines(NamedTuple):
    """All willing interactions so far, by user and then by time.

    Attributes:
        users: Codes, shape (interactions,).
        items: Codes.
        strengths: 1 to 10.
        likes: Whether it is a like.
        places: Place in the user's own line, from 0.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    strengths: NDArray[np.int8]
    likes: NDArray[np.bool_]
    places: NDArray[np.intp]


def lines(past: Past) -> Lines:
    """Give the lines of all users."""
    stream = past.stream.until(past.count)
    willing = np.flatnonzero(stream.strengths > 0)
    order = willing[np.argsort(stream.users[willing], kind="stable")]
    users = stream.users[order]
    begins = (
        np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.empty(0, int)
    )
    lengths = np.diff(np.r_[begins, len(users)])
    places = np.arange(len(users)) - np.repeat(begins, lengths)
    return Lines(users, stream.items[order], stream.strengths[order], stream.likes[order], places)


class Histories(NamedTuple):
    """What stood before some interactions, the newest first.

    Attributes:
        items: Codes plus 1, 0 for none; int32, shape (interactions, length).
        strengths: 0 to 10, int32, the same shape.
    """

    items: NDArray[np.int32]
    strengths: NDArray[np.int32]


def before(given: Lines, rows: NDArray[np.intp], length: int) -> Histories:
    """Give the `length` interactions before each of the rows."""
    steps = np.arange(1, length + 1)
    there = steps[None, :] <= given.places[rows][:, None]
    at = np.maximum(rows[:, None] - steps[None, :], 0)
    items = np.where(there, given.items[at] + 1, 0).astype(np.int32)
    return Histories(items, np.where(there, given.strengths[at], 0).astype(np.int32))
