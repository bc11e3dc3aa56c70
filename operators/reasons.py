"""The row of a list, with the source, the seed and the reason of every item."""

import numpy as np

from operators.accumulator import RankedUser
from operators.composing import CONTENT, FRESH, TRENDING, Strategy
from operators.interests import name_of
from operators.messages import ListRow
from operators.scoring import Scored
from operators.trending import reason_of

NO_SEED = NO_TEXT = 255
NOTHING_YET = "nothing is known yet of what goes with this user's items"
NOTHING_DONE = "this user has not done anything yet; what is popular where the user is, is shown"
ASKED_FOR = "this user has not done anything yet; what is popular in the topics asked for is shown"
NOT_PERSONAL = "this user has switched personalisation off"


class _Index:
    """Values in order of first use, and places of them that fit a byte."""

    def __init__(self) -> None:
        self.values: list[tuple[str, ...]] = []

    def of(self, value: tuple[str, ...] | None) -> int:
        """Place of a value; 255 for none, or where there is no more room."""
        if value is None:
            return NO_SEED
        if value not in self.values:
            if len(self.values) == NO_SEED:
                return NO_SEED
            self.values.append(value)
        return self.values.index(value)


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
    seeds, texts = _Index(), _Index()
    places = range(len(scored.ids))
    seeded = [_seed(user, scored, place) for place in places]
    seed_bytes = bytes(seeds.of(seed) for seed in seeded)
    reasons = bytes(texts.of(_text(user, scored, place, seeded[place])) for place in places)
    certain = all(chance == 1 for chance in scored.propensities)
    return ListRow(
        user.clock_us, tenant, name, list(scored.ids), scored.scores.astype("<f4").tobytes(),
        scored.item_scores.astype("<f4").tobytes(), bytes(scored.sources), seed_bytes,
        [(item, title) for item, title in seeds.values], user.generation,
        fallback_of(user, scored), bytes(user.known), surface, kind, reasons,
        [text for (text,) in texts.values],
        b"" if certain else np.array(scored.propensities, "<f4").tobytes(),
        user.listed.model,
    )  # fmt: skip


def fallback_of(user: RankedUser, scored: Scored) -> str:
    """Why the list is not the user's own; empty if it is."""
    if scored.personal:
        return ""
    if user.events:
        return NOTHING_YET
    return ASKED_FOR if user.topics else NOTHING_DONE


def _seed(user: RankedUser, scored: Scored, place: int) -> tuple[str, str] | None:
    """The user's own item behind a place: of the event that says most, or of the interest."""
    seed = user.seeds.get(scored.seeds[place])
    if seed is not None or not scored.slots[place]:
        return seed
    return next(
        ((one.item, one.title) for one in user.interests.clusters
         if one.slot == scored.slots[place]),
        None,
    )  # fmt: skip


def _text(
    user: RankedUser, scored: Scored, place: int, seed: tuple[str, str] | None
) -> tuple[str] | None:
    """The reason, where source and seed alone do not say it."""
    source, slot = scored.sources[place], scored.slots[place]
    if source == FRESH:
        return ("New here, shown to find out who likes it",)
    if source == TRENDING:
        name = scored.lists[place]
        asked = name.startswith("category:") and name.partition(":")[2] in user.topics
        return (reason_of(name) + (", which you asked for" if asked else ""),)
    for one in user.interests.clusters:
        if slot and one.slot == slot:
            return (f"Because of your interest in {name_of(one)}",)
    return (f"Similar to {seed[1]}",) if source == CONTENT and seed is not None else None
