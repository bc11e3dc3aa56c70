"""Foresees ratings in a stream: what the user and the item usually get, and what similar items got.

    baseline  b(u,i) = m + b(i) + b(u)
    rating    r(u,i) = b(u,i) + sum_j s(i,j) (r(u,j) - b(u,j)) / (sum_j s(i,j) + shrink)
    similarity s(i,j) = n/(n + support) * sum e(i)e(j) / sqrt(sum e(i)^2 sum e(j)^2), 0 if negative

Y. Koren, Factor in the Neighbors, ACM TKDD 4(1), 2010, sections 2.1 and 3: biases as shrunken
means of residuals, similarities as shrunken correlations of residuals. The sums move with the
stream; j are the last `window` items that the user rated, so a rating costs the same after ten
and after ten thousand. It tells how far ratings can be foreseen; no list is made of it.
"""

from collections import deque
from dataclasses import dataclass, field
from math import sqrt

from msgspec import Struct


class RatingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters.

    Attributes:
        start: Foreseen before the first rating, in stars.
        low, high: Ends of the scale.
        user_shrink: Ratings of zero residual that a user is taken to have given; likewise `item`.
        window: Ratings of a user that are paired with the next.
        support: Shared users at which a correlation counts half.
        neighbour_shrink: Similarity that speaks for the baseline.
    """

    start: float = 3.5
    low: float = 0.0
    high: float = 5.0
    user_shrink: float = 5.0
    item_shrink: float = 5.0
    window: int = 30
    support: float = 20.0
    neighbour_shrink: float = 0.5


@dataclass
class Side:
    """Sum of the residuals of a user or an item, and their number."""

    total: float = 0.0
    count: int = 0

    def bias(self, shrink: float) -> float:
        return self.total / (self.count + shrink)


@dataclass
class Pair:
    """Sums over the users who rated both items: products and squares of the residuals."""

    count: int = 0
    product: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def similarity(self, support: float) -> float:
        """Shrunken correlation, 0 where it is negative."""
        if self.product <= 0:
            return 0.0
        share = self.count / (self.count + support)
        return share * self.product / sqrt(self.first * self.second)


@dataclass
class RatingModel:
    """State and transition; `learn` after `foresee` is test-then-train.

    >>> model = RatingModel()
    >>> model.foresee("u", "i")
    3.5
    >>> for user in "abcd":
    ...     model.learn(user, "i", 5.0)
    >>> model.foresee("u", "i") > 4
    True
    """

    settings: RatingSettings = field(default_factory=RatingSettings)
    everything: Side = field(default_factory=Side)
    users: dict[str, Side] = field(default_factory=dict)
    items: dict[str, Side] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    recent: dict[str, deque[tuple[str, float]]] = field(default_factory=dict)

    def baseline(self, user: str, item: str) -> float:
        """M + b(i) + b(u), not held to the scale."""
        mean = self.settings.start + self.everything.bias(1.0)
        sides = (
            (self.items.get(item), self.settings.item_shrink),
            (self.users.get(user), self.settings.user_shrink),
        )
        return mean + sum(side.bias(shrink) for side, shrink in sides if side)

    def foresee(self, user: str, item: str) -> float:
        """Stars that the user would give the item, on the scale."""
        weight, lean = 0.0, 0.0
        for other, residual in self.recent.get(user, ()):
            pair = self.pairs.get(_key(item, other))
            similarity = pair.similarity(self.settings.support) if pair else 0.0
            weight += similarity
            lean += similarity * residual
        said = lean / (weight + self.settings.neighbour_shrink)
        stars = self.baseline(user, item) + said
        return min(self.settings.high, max(self.settings.low, stars))

    def learn(self, user: str, item: str, stars: float) -> None:
        """Take a rating in; a second one of the same item is a rating like any other."""
        settings = self.settings
        residual = stars - self.baseline(user, item)
        self._pair(user, item, residual)
        overall = stars - settings.start
        self.everything.total += overall
        self.everything.count += 1
        mean = settings.start + self.everything.bias(1.0)
        of_item = self.items.setdefault(item, Side())
        of_user = self.users.setdefault(user, Side())
        without_user = stars - mean - of_user.bias(settings.user_shrink)
        without_item = stars - mean - of_item.bias(settings.item_shrink)
        of_item.total, of_item.count = of_item.total + without_user, of_item.count + 1
        of_user.total, of_user.count = of_user.total + without_item, of_user.count + 1

    def _pair(self, user: str, item: str, residual: float) -> None:
        recent = self.recent.setdefault(user, deque(maxlen=self.settings.window))
        for other, before in recent:
            if other == item:
                continue
            pair = self.pairs.setdefault(_key(item, other), Pair())
            pair.count += 1
            pair.product += residual * before
            pair.first += residual * residual
            pair.second += before * before
        recent.append((item, residual))


def _key(item: str, other: str) -> tuple[str, str]:
    return (item, other) if item < other else (other, item)
