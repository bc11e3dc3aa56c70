"""An interaction against the list that was being served: what a list is judged and learned by."""

from typing import Any

from operators.accumulator import RankedUser
from operators.messages import Noted, Outcome, Pulled
from operators.packing import key_of, users_of
from operators.served import SHOWN, Served


def outcome_of(
    message: Pulled | Noted, user: RankedUser, served: Served, variant: str, *, known: bool,
    shadows: dict[str, int | None], gradient: bytes,
) -> Outcome:  # fmt: skip
    """Judge a list.

    Args:
        message: What the user did; not absorbed yet.
        user: As before it.
        served: What was being shown.
        variant: Of an experiment.
        known: Whether the user knew the item.
        shadows: Ranks of the outcome.
        gradient: Of the outcome.
    """
    who: Any = message.counted.signal if isinstance(message, Pulled) else message
    figures = message.counted.figures if isinstance(message, Pulled) else b""
    first = who.first if isinstance(message, Pulled) else not known
    rank, source = served.find(key_of_item(message))
    row = served.own if served.own.model else served.shared
    return Outcome(
        message.time_ms, message.event_id, who.tenant, who.user, who.item, who.action,
        getattr(who, "strength", 0), getattr(who, "liked", False), first, rank, source,
        variant, row.model, message.time_ms - row.as_of_ms if row.model else None,
        served.own.fallback, user.events, max(0, users_of(figures) - first) if figures else None,
        served.shown, shadows, gradient,
    )  # fmt: skip


def key_of_item(message: Pulled | Noted) -> int:
    """Key of the item that the user did something with."""
    return key_of(message.counted.figures) if isinstance(message, Pulled) else message.item_key


def counts(outcome: Outcome) -> bool:
    """Whether it is one of the prequential protocol: a first like of a user with a past."""
    return outcome.liked and outcome.first and outcome.user_events > 0


def is_hit(outcome: Outcome) -> bool:
    """Whether the item stood in the first ten places."""
    return outcome.rank is not None and outcome.rank <= SHOWN
