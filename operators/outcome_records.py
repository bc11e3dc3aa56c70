"""Outcomes as records of `headwater.outcomes`."""

from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from operators.features import FEATURES
from operators.messages import Outcome


def record_of(outcome: Outcome) -> tuple[str, str]:
    """Key and value of the record of `headwater.outcomes`."""
    return outcome.user, as_json(outcome).decode()


def replayed_record_of(outcome: Outcome) -> tuple[str, str]:
    """The same of a replay: what it has learned from is not for a live job to learn again."""
    return record_of(replace(outcome, gradient=b""))


def as_json(outcome: Outcome) -> bytes:
    """The record of `headwater.outcomes`.

    `gradient` is there where something was learned, `shadows` (rank by name) where there are any.
    """
    record: dict[str, Any] = {
        "event_id": outcome.event_id, "tenant": outcome.tenant, "user_id": outcome.user,
        "item_id": outcome.item, "event_time": outcome.time_ms, "rank": outcome.rank,
        "source": outcome.source, "variant": outcome.variant, "model": outcome.model,
        "list_age_ms": outcome.list_age_ms,
    }  # fmt: skip
    if outcome.gradient:
        slopes = np.frombuffer(outcome.gradient, "<f8").tolist()
        record["gradient"] = dict(zip(FEATURES, slopes, strict=True))
    if outcome.shadows:
        record["shadows"] = outcome.shadows
    return msgspec.json.encode(record)
