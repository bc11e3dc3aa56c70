"""Records with every boring field filled in."""

from itertools import count

from operators.events import Erase, Interaction, Item, UserUpdate

_numbers = count()


def event(user: str, item: str | None, at_ms: int = 1000, action: str = "like", **fields):
    """An interaction; its id is new unless given."""
    fields.setdefault("event_id", f"e{next(_numbers):06d}")
    return Interaction(event_time=at_ms, user_id=user, item_id=item, action=action, **fields)


def rated(user: str, item: str, value: float, at_ms: int = 1000, **fields):
    return event(user, item, at_ms, action="rating", value=value, **fields)


def listing(item: str, at_ms: int = 0, **fields):
    fields.setdefault("title", f"Title {item}")
    return Item(item_id=item, event_time=at_ms, **fields)


def erase(user: str, at_ms: int, **fields):
    fields.setdefault("event_id", f"x{next(_numbers):06d}")
    return Erase(user_id=user, event_time=at_ms, **fields)


def user_update(user: str, at_ms: int = 1000, **fields):
    fields.setdefault("event_id", f"s{next(_numbers):06d}")
    return UserUpdate(user_id=user, event_time=at_ms, **fields)
