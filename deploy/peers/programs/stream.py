"""The interactions that every peer gets: one line of time, in numbers."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STRENGTH_MAX = 10.0


class Stream(NamedTuple):
    """Interactions by time.

    Attributes:
        users: Codes of users in order of appearance, int32, shape (interactions,).
        items: Likewise of items.
        strengths: Strength of the action, 0 to 10, int8.
        likes: Whether the action is a like, bool.
        ratings: Stars, 0 to 5, float32; NaN for actions without.
        times: UTC epoch milliseconds, int64.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    strengths: NDArray[np.int8]
    likes: NDArray[np.bool_]
    ratings: NDArray[np.float32]
    times: NDArray[np.int64]

    @property
    def user_count(self) -> int:
        """Users there are."""
        return int(self.users.max(initial=-1)) + 1

    @property
    def item_count(self) -> int:
        """Items there are."""
        return int(self.items.max(initial=-1)) + 1

    def until(self, count: int) -> "Stream":
        """The first interactions alone."""
        return Stream(**{name: column[:count] for name, column in self._asdict().items()})

    def save(self, file: Path) -> None:
        """Write it as an npz file."""
        np.savez(file, **self._asdict())

    @staticmethod
    def load(file: Path) -> "Stream":
        """Read what `save` wrote."""
        with np.load(file) as columns:
            return Stream(**{name: columns[name] for name in Stream._fields})
