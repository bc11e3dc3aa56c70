"""The row of a list, with the source, the seed and the reason of every item."""

from itertools import islice
from typing import Any

from operators.accumulator import RankedUser
from operators.composing import CONTENT, FRESH, TRENDING, Strategy
from operators.interests import Interest, name_of
from operators.results import ListRow
from operators.scoring import Scored
from operators.trending import reason_of

NO_SEED = NO_TEXT = 255
NOTHING_YET = "nothing is known yet of what goes with this user's items"
NOTHING_DONE = "this user has not done anything yet; what is popular where the user is, is shown"
ASKED_FOR = "this user has not done anything yet; what is popular in the topics asked for is shown"
NOT_PERSONAL = "this user has switched personalisation off"

_Behind = tuple[int, int, int, str]
"""What is behind an item: source, slot of the interest, number of the user's event, shared list."""


class _Index:
    """Values in order of first use, and places of them that fit a byte."""

    def __init__(self) -> None:
        self.places: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        """Place of a value; 255 for none, or where there is no more room."""
        if value is None:
            return NO_SEED
        return min(NO_SEED, self.places.setdefault(value, len(self.places)))

    def values(self) -> list[Any]:
        """Those that have a place."""
        return list(islice(self.places, NO_SEED))


def list_row(
    whose: tuple[str, str, str], user: RankedUser, scored: Scored, strategy: Strategy
) -> ListRow:
    """The row of one surface.

    Args:
        whose: Tenant, user and surface.
        user: Of the list.
        scored: The list.
        strategy: That composed it.
    """
    tenant, name, surface = whose
    kind = "" if strategy.kind == "hybrid" else strategy.kind
    if not user.personalise:
        return ListRow(
            user.clock_us, tenant, name, [], b"", b"", b"", b"", [], user.generation,
            NOT_PERSONAL, b"", surface, kind, model=user.listed.model,
        )  # fmt: skip
    seeds, seed_places, texts, text_places = _explained(user, scored)
    return ListRow(
        user.clock_us, tenant, name, list(scored.ids), scored.scores.tobytes(),
        scored.item_scores.tobytes(), scored.source_bytes,
        seed_places, seeds, user.generation, fallback_of(user, scored),
        bytes(user.known), surface, kind, text_places, texts,
        b"" if scored.is_sure else scored.propensities.astype("<f4").tobytes(),
        user.listed.model,
    )  # fmt: skip


def _explained(
    user: RankedUser, scored: Scored
) -> tuple[list[tuple[str, str]], bytes, list[str], bytes]:
    """Seeds, and the place of each item's among them; texts of the reasons, likewise.

    Few things are behind many items, so each is put into words once.
    """
    seeds, texts = _Index(), _Index()
    by_seed, by_text = [], []
    for source, slot, event, list_ in scored.behind:
        behind = source, slot, event, scored.names[list_] if list_ >= 0 else ""
        seed = _seed(user, behind)
        by_seed.append(seeds.of(seed))
        by_text.append(texts.of(_text(user, behind, seed)))
    told = [bytes(map(places.__getitem__, scored.which)) for places in (by_seed, by_text)]
    return seeds.values(), told[0], texts.values(), told[1]


def fallback_of(user: RankedUser, scored: Scored) -> str:
    """Why the list is not the user's own; empty if it is."""
    if scored.personal:
        return ""
    if user.events:
        return NOTHING_YET
    return ASKED_FOR if user.topics else NOTHING_DONE


def _seed(user: RankedUser, behind: _Behind) -> tuple[str, str] | None:
    """The user's own item behind a place: of the event that says most, or of the interest."""
    _, slot, event, _ = behind
    seed = user.seeds.get(event)
    if seed is not None:
        return seed
    interest = _interest(user, slot)
    return (interest.item, interest.title) if interest else None


def _interest(user: RankedUser, slot: int) -> Interest | None:
    """The interest that a place was given to, if any."""
    if not slot:
        return None
    return next((one for one in user.interests.clusters if one.slot == slot), None)


def _text(user: RankedUser, behind: _Behind, seed: tuple[str, str] | None) -> str | None:
    """The reason, where source and seed alone do not say it."""
    source, slot, _, name = behind
    if source == FRESH:
        return "New here, shown to find out who likes it"
    if source == TRENDING:
        asked = name.startswith("category:") and name.partition(":")[2] in user.topics
        return reason_of(name) + (", which you asked for" if asked else "")
    interest = _interest(user, slot)
    if interest:
        return f"Because of your interest in {name_of(interest, user.interests.hidden)}"
    return f"Similar to {seed[1]}" if source == CONTENT and seed is not None else None
