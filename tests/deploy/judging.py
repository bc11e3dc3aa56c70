"""Outcomes with every boring field filled in."""

from itertools import count

from deploy.evaluation.judged import Judged, gather
from operators.messages import Outcome

_numbers = count()


def outcome(user: str, item: str, rank: int | None = None, **fields) -> Outcome:
    """A like of an item new to the user; later than those made before unless said."""
    number = next(_numbers)
    return Outcome(
        fields.get("time_ms", 1000 * number), fields.get("event_id", f"e{number:06d}"), "default",
        user, item, "like", 8, fields.get("liked", True), fields.get("first", True), rank,
        fields.get("source", "co_occurrence" if rank else None), "default", "itemcf-1",
        fields.get("list_age_ms", 0), fields.get("fallback", False), fields.get("user_events", 1),
        fields.get("item_users", 9), fields.get("shown", []), fields.get("shadows", {}),
    )  # fmt: skip


def judged(*outcomes: Outcome) -> Judged:
    return gather(outcomes)
