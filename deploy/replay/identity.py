"""The id of an event whose data set gives none: made of what happened, so the same every time."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from operators.events import ID_BYTES_MAX, Action, Interaction

TEXT_ACTIONS = frozenset({"search", "comment"})
"""Actions told apart by their text: one may comment twice on an item within a second."""

_UTF8_BYTES_MAX = 4
_ESCAPES = str.maketrans({"%": "%25", "-": "%2D", "~": "%7E"})

Extra = dict[str, Any]
"""Fields of an interaction that few data sets have, by name: text, surface, event_id and so on."""


class _Stems(dict[str, str]):
    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, word: str) -> str:
        stem = self[word] = self._make(word)
        return stem


class EventIds:
    """Makes `PREFIX-USER-ITEM-TIME`, with the action before the time unless it is the usual one.

    Rows that agree in all of that are one event. `-`, `~` and `%` in a user id are written `%2D`,
    `%7E` and `%25`, and a session in the place of a user begins with `~`, so that different parts
    never make the same id. Ids too long for the contract become a digest of themselves.

    >>> ids = EventIds("ml", "rating")
    >>> ids("1", "", "31", "rating", 1260759144000, None)
    'ml-1-31-1260759144000'
    >>> EventIds("yc", None)("", "11", "214536502", "click", 1396867809277, None)
    'yc-~11-214536502-click-1396867809277'
    """

    def __init__(self, prefix: str, usual: Action | None) -> None:
        """Make ids that begin with `prefix` and do not name the action `usual`."""
        self._prefix, self._usual = prefix, usual
        self._users = _Stems(lambda user: f"{prefix}-{user.translate(_ESCAPES)}-")
        self._sessions = _Stems(lambda session: f"{prefix}-~{session.translate(_ESCAPES)}-")

    def __call__(
        self, user: str, session: str, item: str, action: str, time_ms: int, extra: Extra | None
    ) -> str:
        """Give the id of an event; the one in `extra` if there is one."""
        if extra and "event_id" in extra:
            return str(extra["event_id"])
        stem = self._users[user] if user else self._sessions[session]
        what = item if action == self._usual else f"{item}-{action}"
        if extra and action in TEXT_ACTIONS:
            what = f"{what}-{_digest(str(extra.get('text')), 4)}"
        made = f"{stem}{what}-{time_ms}"
        if len(made) * _UTF8_BYTES_MAX <= ID_BYTES_MAX or len(made.encode()) <= ID_BYTES_MAX:
            return made
        return f"{self._prefix}-{_digest(made, 16)}"


def to_event(
    event_id: str,
    time_ms: int,
    action: Action,
    value: float,
    user: str,
    session: str,
    item: str,
    extra: Extra | None,
    tenant: str = "default",
) -> Interaction:
    """Make the event; empty ids and a `value` of NaN are left out, `extra` overrides the rest.

    Raises:
        ValueError: If it breaks the contract.
    """
    fields: dict[str, Any] = {
        "event_id": event_id,
        "event_time": time_ms,
        "action": action,
        "user_id": user or None,
        "session_id": session or None,
        "item_id": item or None,
        "value": None if value != value else value,  # only NaN differs from itself
        "tenant": tenant,
    }
    if extra:
        fields |= extra
    return Interaction(**fields)


def _digest(text: str, size_bytes: int) -> str:
    return blake2b(text.encode(), digest_size=size_bytes).hexdigest()
