"""From scored candidates to the list of one surface: what may stand where, by its strategy.

Scores order a list. A strategy says how far other things may:

- `history`: what goes with, or says the like of, what the user did; shared lists only fill up.
- `interests`: all of the first ten places go to the user's interests by their shares.
- `context`: what is popular in the user's segment (country, device, hour), then the rest.
- `hybrid`: by score, but some places go to an interest that falls short of its share by two places,
  so that a second interest survives a burst of the first. Where scores give every interest about
  what is its due, nothing is moved: what is moved is liked less.

Content places show the likest of what only its text speaks for, until somebody touches it: a list
of what people did has no room for it otherwise. Explored places show an item that few have touched
yet, drawn evenly from those that may be shown; the chance it had is written beside it. A reader
sorts by score, so a place that was given and not earned carries the score of the place before it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators.messages import SOURCES

FIRST = 10
"""Places that strategies are about: what a person sees."""

SHORT = 2.0
"""Places that an interest of a hybrid list falls short by before one is given to it."""

CO_OCCURRENCE, CONTENT, TRENDING, FRESH, _ = range(len(SOURCES))


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the list of a surface is composed.

    Attributes:
        kind: See the module.
        interest_places: Of the first ten, how many may go by the shares of interests.
        content_places: Of the first ten, the last ones before the explored: how many show what
            nobody has touched and only its content speaks for; `earned` for as many as pay, see
            `newcomers`.
        explore_places: Of the first ten, the last ones: how many show what few have touched.
        most: By source, how many of the first ten it may have.
    """

    kind: Literal["hybrid", "interests", "history", "context"] = "hybrid"
    interest_places: int = 2
    content_places: int | Literal["earned"] = "earned"
    explore_places: int = 0
    most: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        for name in ("interest_places", "content_places", "explore_places"):
            value = getattr(self, name)
            if value != "earned" and not 0 <= value <= FIRST:
                msg = f"`{name}` is {value}; 0 to {FIRST}"
                raise ValueError(msg)
        unknown = set(self.most) - set(SOURCES)
        if unknown:
            msg = f"no such sources: {sorted(unknown)}; legal are {', '.join(SOURCES)}"
            raise ValueError(msg)


class Offer(NamedTuple):
    """Candidates, best first: equally long arrays.

    Attributes:
        sources: Index into `SOURCES`.
        slots: Of the interest of each, 0 for none.
        contextual: Whether it is popular in the user's segment.
    """

    sources: NDArray[np.int64]
    slots: NDArray[np.int64]
    contextual: NDArray[np.bool_]


class Places(NamedTuple):
    """The places of a list in order: equally long arrays.

    Attributes:
        numbers: Of the candidates.
        given: Whether the place was given to it and not earned by its score.
        slots: Of the interest that it was given to, 0 for none.
        propensities: Chance with which it got there.
    """

    numbers: NDArray[np.int64]
    given: NDArray[np.bool_]
    slots: NDArray[np.int64]
    propensities: NDArray[np.float64]


def goes_by_score(strategy: Strategy, shares: Mapping[int, float], slots: Sequence[int]) -> bool:
    """Whether a list of what is not fresh is the candidates in order: `compose` then moves none.

    So it is where no interest falls short of its share at a place that goes by interest.

    Args:
        strategy: Of the surface.
        shares: Of the interests, by slot.
        slots: Of the interests of the first candidates, `FIRST` or all that there are.
    """
    if strategy.kind != "hybrid" or strategy.most or strategy.explore_places:
        return False
    return not shares or not any(
        share * (at + 1) - slots[:at].count(slot) >= SHORT
        for at in _interest_places(strategy) for slot, share in shares.items()
    )  # fmt: skip


@cache
def in_order(count: int) -> Places:
    """The places of a list that goes by score; not to be changed."""
    return Places(np.arange(count), np.zeros(count, bool), np.zeros(count, np.int64),
                  np.ones(count))  # fmt: skip


def compose(
    offer: Offer, strategy: Strategy, shares: Mapping[int, float], draw: int, size: int
) -> Places:
    """Places of one list.

    Args:
        offer: The candidates.
        strategy: Of the surface.
        shares: Of the interests, by slot, together 1; empty for a user without.
        draw: A number that is as good as random and the same in every replay.
        size: Places at the most.
    """
    by_interest = _interest_places(strategy) if shares else frozenset()
    order = _order(offer, strategy)
    explores = strategy.explore_places > 0 and len(order) < len(offer.sources)
    if not by_interest and not strategy.most and not explores:
        best = order[:size]
        moved = np.full(len(best), strategy.kind == "context")
        return Places(best, moved, np.zeros(len(best), np.int64), np.ones(len(best)))
    fresh = np.flatnonzero(offer.sources == FRESH).tolist()
    short = SHORT if strategy.kind == "hybrid" else -np.inf
    list_ = _Composition(offer, strategy, order.tolist())
    explored_from = FIRST - strategy.explore_places
    while (at := len(list_.places)) < size:
        if explored_from <= at < FIRST and list_.explore(fresh, draw + at):
            continue
        if at in by_interest and list_.take_interest(shares, short):
            continue
        if not list_.take_next():
            break
    columns = zip(*list_.places, strict=True) if list_.places else ((), (), (), ())
    numbers, given, slots, propensities = columns
    return Places(
        np.array(numbers, np.int64), np.array(given, bool), np.array(slots, np.int64),
        np.array(propensities, np.float64),
    )  # fmt: skip


def give(places: Places, newcomers: Sequence[int], count: int, strategy: Strategy) -> Places:
    """Put candidates before the explored places, `count` of those that do not stand there already.

    Args:
        places: Of a list; what gives way comes behind the first ten.
        newcomers: Numbers of candidates of the source `content`, best first.
        count: How many at the most.
        strategy: Of the surface.
    """
    size = len(places.numbers)
    before = min(FIRST - strategy.explore_places, size)
    count = min(count, before)
    stay = places.numbers[: before - count].tolist()
    put = [number for number in newcomers if number not in stay][:count]
    others = np.flatnonzero(~np.isin(places.numbers, put))
    head, end = others[others < before], min(FIRST, size)
    kept, moved = head[: before - len(put)], head[before - len(put) :]
    rest = np.concatenate(
        [others[(before <= others) & (others < end)], moved, others[others >= end]]
    )
    filled = (np.array(put, np.int64), np.ones(len(put), bool), np.zeros(len(put), np.int64),
              np.ones(len(put)))  # fmt: skip
    return Places(
        *(np.concatenate([column[kept], new, column[rest]])[:size]
          for column, new in zip(places, filled, strict=True))
    )  # fmt: skip


@cache
def _spread(count: int) -> frozenset[int]:
    return frozenset(FIRST - 1 - n * FIRST // count for n in range(count))


def _interest_places(strategy: Strategy) -> frozenset[int]:
    """Numbers of the places that go by interest: spread evenly, the first one only if all do."""
    if strategy.kind == "interests":
        return frozenset(range(FIRST))
    count = strategy.interest_places if strategy.kind == "hybrid" else 0
    return _spread(count)


def _order(offer: Offer, strategy: Strategy) -> NDArray[np.int64]:
    """Candidates that are not fresh, by score; those the strategy is about first."""
    known = np.flatnonzero(offer.sources != FRESH)
    if strategy.kind == "history":
        other = ~np.isin(offer.sources[known], (CO_OCCURRENCE, CONTENT))
    elif strategy.kind == "context":
        other = ~offer.contextual[known]
    else:
        return known
    return known[np.argsort(other, kind="stable")]


class _Composition:
    """A list as it grows."""

    def __init__(self, offer: Offer, strategy: Strategy, order: Sequence[int]) -> None:
        self.places: list[tuple[int, bool, int, float]] = []
        self._sources, self._slots = offer.sources.tolist(), offer.slots.tolist()
        self._strategy, self._order = strategy, order
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
                self._put(number, given=moved)
                return True
        return False

    def take_interest(self, shares: Mapping[int, float], short: float) -> bool:
        """The best of the interest that is furthest below its share; False if none has any.

        Args:
            shares: Of the interests, by slot.
            short: Places that an interest is below its share at the least.
        """
        count = len(self.places) + 1
        behind = {
            slot: share * count - self._by_slot.get(slot, 0) for slot, share in shares.items()
        }
        for slot in sorted(behind, key=lambda slot: (-behind[slot], slot)):
            if behind[slot] < short:
                return False
            for number in self._order:
                if self._slots[number] == slot and number not in self._used and self._may(number):
                    self._put(number, given=True, slot=slot)
                    return True
        return False

    def explore(self, fresh: Sequence[int], draw: int) -> bool:
        """One of the fresh ones, each with the same chance; False if none is left."""
        left = [number for number in fresh if number not in self._used]
        if not left:
            return False
        self._put(left[draw % len(left)], given=True, propensity=1 / len(left))
        return True

    def _may(self, number: int) -> bool:
        source = self._sources[number]
        most = self._strategy.most.get(SOURCES[source])
        return most is None or len(self.places) >= FIRST or self._by_source[source] < most

    def _put(self, number: int, *, given: bool, slot: int = 0, propensity: float = 1.0) -> None:
        self._used.add(number)
        self._by_source[self._sources[number]] += 1
        own = self._slots[number]
        self._by_slot[own] = self._by_slot.get(own, 0) + 1
        self.places.append((number, given, slot, propensity))
