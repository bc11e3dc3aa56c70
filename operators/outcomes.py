"""An interaction against the list that was being served: what a list is judged and learned by."""

from typing import Any

import msgspec
import numpy as np

from operators.accumulator import RankedUser
from operators.features import FEATURES
from operators.messages import Noted, Outcome, Pulled
from operators.packing import key_of, users_of
from operators.served import SHOWN, Served


def outcome_of(
    message: Pulled | Noted, user: RankedUser, served: Served, variant: str, *, known: bool
) -> Outcome:
    """Judge a list.

    Args:
        message: What the user did; not absorbed yet.
        user: As before it.
        served: What was being shown.
        variant: Of an experiment.
        known: Whether the user knew the item.
    """
    who: Any = message.counted.signal if isinstance(message, Pulled) else message
    figures = message.counted.figures if isinstance(message, Pulled) else b""
    first = who.first if isinstance(message, Pulled) else not known
    rank, source = served.find(key_of(figures) if figures else who.item_key)
    row = served.own if served.own.model else served.shared
    return Outcome(
        message.time_ms, message.event_id, who.tenant, who.user, who.item, who.action,
        getattr(who, "strength", 0), getattr(who, "liked", False), first, rank, source,
        variant, row.model, message.time_ms - row.as_of_ms if row.model else None,
        served.own.fallback, user.events, max(0, users_of(figures) - first) if figures else None,
        served.shown,
    )  # fmt: skip


def counts(outcome: Outcome) -> bool:
    """Whether it is one of the prequential protocol: a first like of a user with a past."""
    return outcome.liked and outcome.first and outcome.user_events > 0


def is_hit(outcome: Outcome) -> bool:
    """Whether the item stood in the first ten places."""
    return outcome.rank is not None and outcome.rank <= SHOWN


def record_of(outcome: Outcome) -> tuple[str, str]:
    """Key and value of the record of `headwater.outcomes`."""
    return outcome.user, as_json(outcome).decode()


def as_json(outcome: Outcome) -> bytes:
    """The record of `headwater.outcomes`; `gradient` is there where something was learned."""
    record: dict[str, Any] = {
        "event_id": outcome.event_id, "tenant": outcome.tenant, "user_id": outcome.user,
        "item_id": outcome.item, "event_time": outcome.time_ms, "rank": outcome.rank,
        "source": outcome.source, "variant": outcome.variant, "model": outcome.model,
        "list_age_ms": outcome.list_age_ms,
    }  # fmt: skip
    if outcome.gradient:
        slopes = np.frombuffer(outcome.gradient, "<f8").tolist()
        record["gradient"] = dict(zip(FEATURES, slopes, strict=True))
    return msgspec.json.encode(record)
