"""From scored candidates to the list of one surface: what may stand where, by its strategy.

Scores order a list. A strategy says how far other things may:

- `history`: what goes with, or says the like of, what the user did; shared lists only fill up.
- `interests`: all of the first ten places go to the user's interests by their shares.
- `context`: what is popular in the user's segment (country, device, hour), then the rest.
- `hybrid`: by score, but some places go to the interest that is furthest below its share, so that
  a second interest survives a burst of the first.

Explored places show an item that few have touched yet, drawn evenly from those that may be shown;
the chance it had is written beside it. A reader sorts by score, so a place that was given and not
earned carries the score of the place before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from operators.messages import SOURCES

FIRST = 10
"""Places that strategies are about: what a person sees."""

CO_OCCURRENCE, CONTENT, TRENDING, FRESH, _ = range(len(SOURCES))


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the list of a surface is composed.

    Attributes:
        kind: See the module.
        interest_places: Of the first ten, how many go by the shares of interests.
        explore_places: Of the first ten, the last ones: how many show what few have touched.
        most: By source, how many of the first ten it may have.
    """

    kind: Literal["hybrid", "interests", "history", "context"] = "hybrid"
    interest_places: int = 2
    explore_places: int = 0
    most: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        for name in ("interest_places", "explore_places"):
            if not 0 <= getattr(self, name) <= FIRST:
                msg = f"`{name}` is {getattr(self, name)}; 0 to {FIRST}"
                raise ValueError(msg)
        unknown = set(self.most) - set(SOURCES)
        if unknown:
            msg = f"no such sources: {sorted(unknown)}; legal are {', '.join(SOURCES)}"
            raise ValueError(msg)


@dataclass
class Offer:
    """Candidates, best first: source and slot of the interest of each, and which are fresh.

    Attributes:
        sources: Index into `SOURCES`.
        slots: Of the interest, 0 for none.
        contextual: Whether it is popular in the user's segment.
    """

    sources: Sequence[int]
    slots: Sequence[int]
    contextual: Sequence[bool]


@dataclass
class Place:
    """One place of a list.

    Attributes:
        number: Of the candidate.
        given: Whether the place was given to it and not earned by its score.
        slot: Of the interest that it was given to, 0 for none.
        propensity: Chance with which it got there.
    """

    number: int
    given: bool = False
    slot: int = 0
    propensity: float = 1.0


def compose(
    offer: Offer, strategy: Strategy, shares: Mapping[int, float], draw: int, size: int
) -> list[Place]:
    """Places of one list.

    Args:
        offer: The candidates.
        strategy: Of the surface.
        shares: Of the interests, by slot, together 1; empty for a user without.
        draw: A number that is as good as random and the same in every replay.
        size: Places at the most.
    """
    by_interest = _interest_places(strategy) if shares else frozenset()
    fresh = [n for n, source in enumerate(offer.sources) if source == FRESH]
    order = _order(offer, strategy)
    if not by_interest and not strategy.most and not (fresh and strategy.explore_places):
        moved = strategy.kind == "context"
        return [Place(number, moved) for number in order[:size]]
    list_ = _Composition(offer, strategy, order)
    explored_from = FIRST - strategy.explore_places
    while len(list_.places) < size:
        at = len(list_.places)
        if explored_from <= at < FIRST and list_.explore(fresh, draw + at):
            continue
        if at in by_interest and list_.take_interest(shares):
            continue
        if not list_.take_next():
            break
    return list_.places


def _interest_places(strategy: Strategy) -> frozenset[int]:
    """Numbers of the places that go by interest: spread evenly, the first one only if all do."""
    if strategy.kind == "interests":
        return frozenset(range(FIRST))
    count = strategy.interest_places if strategy.kind == "hybrid" else 0
    return frozenset(FIRST - 1 - n * FIRST // count for n in range(count)) if count else frozenset()


def _order(offer: Offer, strategy: Strategy) -> list[int]:
    """Candidates that are not fresh, by score; those the strategy is about first."""
    known = [n for n, source in enumerate(offer.sources) if source != FRESH]
    if strategy.kind == "history":
        return sorted(known, key=lambda n: offer.sources[n] not in (CO_OCCURRENCE, CONTENT))
    if strategy.kind == "context":
        return sorted(known, key=lambda n: not offer.contextual[n])
    return known


class _Composition:
    """A list as it grows."""

    def __init__(self, offer: Offer, strategy: Strategy, order: Sequence[int]) -> None:
        self.places: list[Place] = []
        self._offer, self._strategy, self._order = offer, strategy, order
        self._used: set[int] = set()
        self._by_source = [0] * len(SOURCES)
        self._by_slot: dict[int, int] = {}
        self._next = 0

    def take_next(self) -> bool:
        """The best that is left and may stand here; False if nothing is."""
        while self._next < len(self._order) and self._order[self._next] in self._used:
            self._next += 1
        for number in self._order[self._next :]:
            if number not in self._used and self._may(number):
                moved = self._strategy.kind == "context"
                self._put(Place(number, given=moved))
                return True
        return False

    def take_interest(self, shares: Mapping[int, float]) -> bool:
        """The best of the interest that is furthest below its share; False if none has any."""
        count = len(self.places) + 1
        behind = sorted(
            shares, key=lambda slot: (self._by_slot.get(slot, 0) - shares[slot] * count, slot)
        )
        for slot in behind:
            for number in self._order:
                if (
                    self._offer.slots[number] == slot
                    and number not in self._used
                    and self._may(number)
                ):
                    self._put(Place(number, given=True, slot=slot))
                    return True
        return False

    def explore(self, fresh: Sequence[int], draw: int) -> bool:
        """One of the fresh ones, each with the same chance; False if none is left."""
        left = [number for number in fresh if number not in self._used]
        if not left:
            return False
        self._put(Place(left[draw % len(left)], given=True, propensity=1 / len(left)))
        return True

    def _may(self, number: int) -> bool:
        source = self._offer.sources[number]
        most = self._strategy.most.get(SOURCES[source])
        return most is None or len(self.places) >= FIRST or self._by_source[source] < most

    def _put(self, place: Place) -> None:
        self._used.add(place.number)
        self._by_source[self._offer.sources[place.number]] += 1
        slot = self._offer.slots[place.number]
        self._by_slot[slot] = self._by_slot.get(slot, 0) + 1
        self.places.append(place)
