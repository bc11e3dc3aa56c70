"""Rows as a format found them, and the check that holds each against the wire contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from deploy.replay.columns import Bad, Cell, numbers, times_ms
from deploy.replay.identity import EventIds, Extra, to_event
from deploy.replay.options import Options, TimeUnit
from deploy.replay.report import Report
from operators.events import STAR_ACTIONS, STARS_MAX, Action, Border

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
EXTRA_BYTES_MAX: Final = 1_000_000
"""Of an event's free fields: with ids and times it stays below the contract's record size."""

_NOTHING: Final[Extra] = {}
_BORDER: Final = Border()
_ACTION_CODES: dict[str, int] = {action: code for code, action in enumerate(ACTIONS)}
_STARS = [_ACTION_CODES[action] for action in ACTIONS if action in STAR_ACTIONS]


class Batch(Struct, frozen=True, kw_only=True):
    """Rows of one file, column by column, all equally long.

    Attributes:
        file: Where they are from.
        lines: Their lines.
        times: Their times, in `time_unit`.
        time_unit: See there.
        actions: An action each, or one for all.
        users: User ids, empty for none; likewise `sessions` and `items`.
        sessions: See there.
        items: See there.
        values: Numbers, their text, or None.
        extras: What else the events hold.
        bad: Rows that the format found to be broken, by place, with the reason.
    """

    file: Path
    lines: Sequence[int]
    times: Sequence[Cell]
    time_unit: TimeUnit
    actions: Action | Sequence[str]
    users: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    items: Sequence[str] | None = None
    values: Sequence[Cell] | None = None
    extras: Sequence[Extra] | None = None
    bad: Bad = {}


class Checked(Struct, frozen=True, kw_only=True):
    """The rows of a batch that keep the contract.

    Attributes:
        rows: Their places in the batch.
        times: UTC epoch milliseconds, int64, shape (rows,).
        actions: Places in `ACTIONS`, int8.
        values: Float64, NaN for none.
        hashes: Equal for events with equal ids, int64; only good within this process.
        users: User ids, empty for none; likewise `sessions` and `items`.
        sessions: See there.
        items: See there.
        extras: Packed `Extra` of each row, empty bytes for none; None if no row has any.
    """

    rows: Sequence[int]
    times: NDArray[np.int64]
    actions: NDArray[np.int8]
    values: NDArray[np.float64]
    hashes: NDArray[np.int64]
    users: Sequence[str]
    sessions: Sequence[str]
    items: Sequence[str]
    extras: Sequence[bytes] | None


def check(batch: Batch, ids: EventIds, options: Options, report: Report) -> Checked:
    """Parse and scale the numbers, report the rows that break the contract, give the others.

    Raises:
        SourceError: At the first bad row, if the report is strict.
    """
    bad = dict(batch.bad)
    count = len(batch.lines)
    times = times_ms(batch.times, batch.time_unit, bad)
    _refuse_future(times, options.now_ms, bad)
    actions = _action_codes(batch.actions, count, bad)
    values = numbers("value", batch.values or [None] * count, bad)
    _rescale(values, actions, options, report, bad)
    hashes, extras = _hold_against_contract(batch, ids, times, actions, values, bad)
    for row in sorted(bad):
        report.skip(batch.file, batch.lines[row], bad[row])
    rows = [row for row in range(count) if row not in bad] if bad else range(count)
    keep = np.array(rows, np.intp)
    empty = [""] * count
    return Checked(
        rows=rows,
        times=times[keep],
        actions=actions[keep],
        values=values[keep],
        hashes=np.array(hashes, np.int64)[keep],
        users=_kept(batch.users or empty, bad),
        sessions=_kept(batch.sessions or empty, bad),
        items=_kept(batch.items or empty, bad),
        extras=_kept(extras, bad) if extras else None,
    )


def _kept(cells: Sequence[Any], bad: Bad) -> Sequence[Any]:
    return [cell for row, cell in enumerate(cells) if row not in bad] if bad else cells


def _refuse_future(times: NDArray[np.int64], now_ms: int | None, bad: Bad) -> None:
    if now_ms is None:
        return
    for row in np.flatnonzero(times > now_ms + _BORDER.future_max_ms).tolist():
        reason = f"event_time {times[row]} ms lies in the future; is the time unit right?"
        bad.setdefault(row, reason)


def _action_codes(actions: Action | Sequence[str], count: int, bad: Bad) -> NDArray[np.int8]:
    if isinstance(actions, str):
        return np.full(count, _ACTION_CODES[actions], np.int8)
    codes = np.fromiter((_ACTION_CODES.get(word, -1) for word in actions), np.int8, count)
    for row in np.flatnonzero(codes < 0).tolist():
        reason = (
            f"action {actions[row]!r} is unknown; an action is one of {', '.join(ACTIONS)}, "
            "or a word that is mapped to one"
        )
        bad.setdefault(row, reason)
    return codes


def _rescale(
    values: NDArray[np.float64],
    actions: NDArray[np.int8],
    options: Options,
    report: Report,
    bad: Bad,
) -> None:
    """Bring ratings to the contract's scale in place: its top is five stars, its bottom none."""
    low, high = options.stars_min, options.stars_max
    stars = np.isin(actions, _STARS)
    given = values[stars & np.isfinite(values)]
    if len(given):
        report.rate(float(given.min()), float(given.max()))
    for row in np.flatnonzero(stars & (values > high)).tolist():
        bad.setdefault(row, f"{values[row]} stars; the data's scale ends at {high}")
    for row in np.flatnonzero(stars & (values < low)).tolist():
        bad.setdefault(row, f"{values[row]} stars; the data's scale begins at {low}")
    if (low, high) != (0.0, STARS_MAX):
        values[stars] = (values[stars] - low) * STARS_MAX / (high - low)


def _hold_against_contract(
    batch: Batch,
    ids: EventIds,
    times: NDArray[np.int64],
    actions: NDArray[np.int8],
    values: NDArray[np.float64],
    bad: Bad,
) -> tuple[list[int], list[bytes]]:
    """Make each row the event it will be; gives hashes, and packed extras if the batch has any."""
    hashes, packed = [0] * len(times), [b""] * (len(times) if batch.extras else 0)
    empty = [""] * len(times)
    rows = zip(
        times.tolist(),
        [ACTIONS[code] for code in actions.tolist()],
        values.tolist(),
        batch.users or empty,
        batch.sessions or empty,
        batch.items or empty,
        batch.extras or [_NOTHING] * len(times),
        strict=True,
    )
    for row, (time, action, value, user, session, item, extra) in enumerate(rows):
        if row in bad:
            continue
        try:
            event_id = ids(user, session, item, action, time, extra)
            to_event(event_id, time, action, value, user, session, item, extra)
            if extra:
                packed[row] = _packed(extra)
            hashes[row] = hash(event_id)
        except (ValueError, TypeError) as error:
            bad[row] = str(error)
    return hashes, packed


def _packed(extra: Extra) -> bytes:
    packed = msgspec.msgpack.encode(extra)
    if len(packed) > EXTRA_BYTES_MAX:
        msg = f"the text has {len(packed)} bytes; at most {EXTRA_BYTES_MAX} are sent"
        raise ValueError(msg)
    return packed
