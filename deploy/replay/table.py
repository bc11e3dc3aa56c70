"""Events as packed columns, sorted by time and made typed again one by one.

A row takes about 50 bytes of memory at the peak (5 million rows measured), 37 afterwards. Free
fields, texts above all, wait in a temporary file that goes with the process.
"""

import mmap
import tempfile
from array import array
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from deploy.replay.batch import ACTIONS, Checked
from deploy.replay.columns import Vocabulary
from deploy.replay.identity import EventIds, Extra, to_event
from operators.events import Interaction

_BLOCK_ROWS = 8192


class Spill:
    """One bytes object a row in a temporary file."""

    def __init__(self, rows: int) -> None:
        """Begin with so many empty rows."""
        self._ends = array("q", bytes(8 * rows))
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives until it is sealed
        self._map: mmap.mmap | None = None

    def append(self, rows: Sequence[bytes]) -> None:
        """Add rows."""
        end = self._ends[-1] if self._ends else 0
        self._file.write(b"".join(rows))
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        self._ends.frombytes((np.cumsum(lengths) + end).tobytes())

    def seal(self) -> None:
        """Make the rows readable; none can be added any more."""
        self._file.flush()
        if self._ends and self._ends[-1]:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self.close()

    def close(self) -> None:
        """Close the file; what is sealed stays readable."""
        self._file.close()

    def __getitem__(self, row: int) -> bytes:
        start = self._ends[row - 1] if row else 0
        return self._map[start : self._ends[row]] if self._map else b""


class Table:
    """The events of a data set.

    Attributes:
        users: Ids of users and their codes.
        sessions: Likewise of sessions.
        items: Likewise of items, those of a catalogue too.
        times: UTC epoch milliseconds, int64, in file order; empty before `finish`.
    """

    def __init__(self) -> None:
        self.users, self.sessions, self.items = Vocabulary(), Vocabulary(), Vocabulary()
        self.times: NDArray[np.int64] = np.empty(0, np.int64)
        self._times, self._actions, self._values = array("q"), array("b"), array("d")
        self._users, self._sessions, self._items = array("i"), array("i"), array("i")
        self._hashes = array("q")
        self._spill: Spill | None = None
        self._order: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self._times)

    def append(self, rows: Checked) -> None:
        """Keep rows."""
        if rows.extras is not None or self._spill is not None:
            self._spill = self._spill or Spill(len(self))
            self._spill.append(rows.extras or [b""] * len(rows.times))
        self._times.frombytes(rows.times.tobytes())
        self._actions.frombytes(rows.actions.tobytes())
        self._values.frombytes(rows.values.tobytes())
        self._hashes.frombytes(rows.hashes.tobytes())
        self._users.frombytes(self.users.codes(rows.users).tobytes())
        self._sessions.frombytes(self.sessions.codes(rows.sessions).tobytes())
        self._items.frombytes(self.items.codes(rows.items).tobytes())

    def close(self) -> None:
        """Give up the temporary file of a table that is not finished."""
        if self._spill:
            self._spill.close()

    def finish(self) -> int:
        """Sort by time, rows of the same time in file order; gives the number of duplicates."""
        if self._spill:
            self._spill.seal()
        self.times = np.frombuffer(self._times, np.int64)
        if len(self) > 1 and bool((self.times[1:] < self.times[:-1]).any()):
            self._order = np.argsort(self.times, kind="stable")
        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()
        duplicates = int((hashes[1:] == hashes[:-1]).sum())
        self._hashes = array("q")
        return duplicates

    @property
    def in_order(self) -> bool:
        """Whether the files had the rows in the order of their times."""
        return self._order is None

    def time_at(self, place: int) -> int:
        """Give the time of the event at a place of the sorted order."""
        return int(self.times[place if self._order is None else self._order[place]])

    def touched(self) -> NDArray[np.bool_]:
        """Tell of each item whether an event names it; shape (items,)."""
        touched = np.zeros(len(self.items.words()), bool)
        codes = np.frombuffer(self._items, np.int32)
        touched[codes[codes >= 0]] = True
        return touched

    def anonymous_sessions(self) -> int:
        """Count the sessions of events without a user."""
        sessions = np.frombuffer(self._sessions, np.int32)
        return len(np.unique(sessions[np.frombuffer(self._users, np.int32) < 0]))

    def events(
        self, ids: EventIds, tenant: str, shift_ms: int
    ) -> Iterator[tuple[int, Interaction]]:
        """Give the events by time, each with the code of its item, -1 for none.

        Args:
            ids: Makes their ids, of the times before the shift.
            tenant: Their tenant.
            shift_ms: Added to their times.
        """
        words = [
            ["", *vocabulary.words()] for vocabulary in (self.users, self.sessions, self.items)
        ]
        users, sessions, items = words
        for start in range(0, len(self), _BLOCK_ROWS):
            for row in self._block(start):
                place, time, action, value, user, session, item = row
                who, where, what = users[user + 1], sessions[session + 1], items[item + 1]
                extra = self._extra(place)
                event_id = ids(who, where, what, ACTIONS[action], time, extra)
                yield item, to_event(
                    event_id, time + shift_ms, ACTIONS[action], value, who, where, what, extra,
                    tenant,
                )  # fmt: skip

    def _extra(self, row: int) -> Extra | None:
        packed = self._spill[row] if self._spill else b""
        return msgspec.msgpack.decode(packed, type=Extra) if packed else None

    def _block(self, start: int) -> Iterator[tuple[int, int, int, float, int, int, int]]:
        end = min(start + _BLOCK_ROWS, len(self))
        rows = np.arange(start, end) if self._order is None else self._order[start:end]
        columns = (
            np.frombuffer(self._actions, np.int8),
            np.frombuffer(self._values, np.float64),
            np.frombuffer(self._users, np.int32),
            np.frombuffer(self._sessions, np.int32),
            np.frombuffer(self._items, np.int32),
        )
        times = self.times[rows].tolist()
        return zip(rows.tolist(), times, *(c[rows].tolist() for c in columns), strict=True)
