"""Events for the measurement of flatness: groups that differ in one thing alone.

Every group's events go to equally many users at a time, each on an item that is new to the user,
by the same round: a user's tenth event comes as long after the ninth in each of them. What
differs is how many events the users have behind them, or how many users and neighbours the items.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from deploy.bench.options import Shape
from deploy.bench.workload import Listing, Ready, event, listing

_GROUP_USERS = 1_000_000
_ROUND_USERS = 100_000
_BUILDERS = 500_000
_RARE_EVENTS = 3
_TRACKED = 50


class Touch(NamedTuple):
    """An event: numbers of the user and the item."""

    user: int
    item: int


LONG, FULL, SHORT, RARE, POPULAR = "long", "full", "short", "rare", "popular"
GROUPS = (LONG, FULL, SHORT, RARE, POPULAR)
"""Users of long, full and short history on ordinary items; full users on rare and popular ones."""


class Cohorts:
    """All events of the measurement, in order; the same for shape and seed.

    Items are numbered: popular ones, then ordinary ones, then rare ones.
    """

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self._seed = seed
        self._orders: dict[int, list[int]] = {}

    @property
    def item_count(self) -> int:
        """Of all kinds."""
        rare = -(-self.shape.phase_events // _RARE_EVENTS) * self.shape.rounds
        return self.shape.popular + self.shape.items + rare

    def history(self, group: str) -> int:
        """Events that a user of the group has before its phase."""
        return {LONG: self.shape.heavy, SHORT: self.shape.light}.get(group, self.shape.full)

    def warmup(self) -> list[Touch]:
        """Histories of all users, in turn; and of those who make the popular items popular."""
        lines = [
            [Touch(user, self._ordinary(user, n)) for n in range(self.history(group))]
            for group in GROUPS
            for user in self._users(group)
        ]
        lines += [
            [Touch(_BUILDERS + n, item) for item in self._built(n)]
            for n in range(self.shape.builders)
        ]
        longest = max(map(len, lines))
        return [line[n] for n in range(longest) for line in lines if n < len(line)]

    def phase(self, group: str, round_: int) -> Iterator[Touch]:
        """Events of one phase."""
        shape = self.shape
        if group == LONG:
            yield from self._long(round_ * shape.phase_events, shape.phase_events)
            return
        users = self._cohort(group, round_)
        for n in range(shape.phase_events):
            block, turn = divmod(n, shape.active * shape.per_user)
            nth, place = divmod(turn, shape.active)
            user = users[block * shape.active + place]
            yield Touch(user, self._item(group, round_, n, user, nth))

    def age(self) -> Iterator[Touch]:
        """Events of the long run: those of users with a long history."""
        yield from self._long(self.shape.rounds * self.shape.phase_events, self.shape.age_events)

    def phases(self) -> list[tuple[str, int]]:
        """Groups and rounds in the order they are measured: there and back again."""
        return [
            (group, round_)
            for round_ in range(self.shape.rounds)
            for group in (GROUPS if round_ % 2 == 0 else GROUPS[::-1])
        ]

    def touches(self) -> Iterator[Touch]:
        """Everything: the warm-up, the phases, the long run."""
        phases = chain.from_iterable(self.phase(*one) for one in self.phases())
        return chain(self.warmup(), phases, self.age())

    def _long(self, first: int, count: int) -> Iterator[Touch]:
        for n in range(first, first + count):
            nth, user = divmod(n, self.shape.active)
            yield Touch(user, self._ordinary(user, self.shape.heavy + nth))

    def _users(self, group: str) -> Sequence[int]:
        if group == LONG:
            return range(self.shape.active)
        rounds = (self._cohort(group, round_) for round_ in range(self.shape.rounds))
        return list(chain.from_iterable(rounds))

    def _cohort(self, group: str, round_: int) -> range:
        first = _GROUP_USERS * (GROUPS.index(group) + 1) + _ROUND_USERS * round_
        return range(first, first + self.shape.cohort)

    def _item(self, group: str, round_: int, n: int, user: int, nth: int) -> int:
        shape = self.shape
        if group == POPULAR:
            # One after the other, so that no user gets one twice.
            return (user + nth) % shape.popular
        if group == RARE:
            per_round = -(-shape.phase_events // _RARE_EVENTS)
            # The events of an item come one behind the other, from as many users.
            return shape.popular + shape.items + round_ * per_round + n // _RARE_EVENTS
        return self._ordinary(user, self.history(group) + nth)

    def _ordinary(self, user: int, nth: int) -> int:
        """The user's nth item: ordinary ones in an order of the user's own, none twice."""
        order = self._orders.get(user)
        if order is None:
            rng = np.random.default_rng([self._seed, user])
            kept = self.shape.items if user < self.shape.active else self.shape.full
            kept += self.shape.per_user
            chosen = rng.permutation(self.shape.items)[:kept] + self.shape.popular
            order = self._orders[user] = chosen.tolist()
        return order[nth]

    def _built(self, builder: int) -> list[int]:
        """A builder's items: popular and ordinary ones by turns."""
        rng = np.random.default_rng([self._seed, _BUILDERS + builder])
        half = min(self.shape.full // 2, self.shape.popular)
        popular = rng.permutation(self.shape.popular)[:half].tolist()
        ordinary = (rng.permutation(self.shape.items)[:half] + self.shape.popular).tolist()
        return list(chain.from_iterable(zip(popular, ordinary, strict=True)))


def surroundings(
    before: Sequence[Touch], touched: Sequence[int], window: int
) -> tuple[float, float]:
    """Mean number of neighbours and of users of items, over a sample of them.

    Args:
        before: What had happened.
        touched: Items.
        window: Items of a user's last ones that a new one is paired with.
    """
    sample = list(dict.fromkeys(touched))[:_TRACKED]
    neighbours: dict[int, set[int]] = {item: set() for item in sample}
    users = dict.fromkeys(sample, 0)
    lines: dict[int, list[int]] = {}
    for touch in before:
        line = lines.setdefault(touch.user, [])
        if touch.item in neighbours:
            users[touch.item] += 1
            neighbours[touch.item].update(line[-window:])
        for other in line[-window:]:
            if other in neighbours:
                neighbours[other].add(touch.item)
        line.append(touch.item)
    count = len(sample) or 1
    return sum(map(len, neighbours.values())) / count, sum(users.values()) / count


class CohortsWorkload:
    """The events of cohorts, ready to send."""

    def __init__(self, shape: Shape, seed: int, tenant: str) -> None:
        self._cohorts = Cohorts(shape, seed)
        self._tenant = tenant

    def catalogue(self) -> Iterator[Listing]:
        for number in range(self._cohorts.item_count):
            yield listing(self._tenant, number, f"category {number % 50}")

    def events(self) -> Iterator[Ready]:
        for number, touch in enumerate(self._cohorts.touches()):
            yield event(self._tenant, number, touch.user, touch.item, "click")
