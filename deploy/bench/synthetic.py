"""A made-up population: seeded, in event order, without end.

Sessions begin as a Poisson process of rate / session_events a second. The events of a session
follow each other by exponential gaps, so at any moment many sessions are interleaved, as on a
real site. See `options.Synthetic` for the distributions.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from deploy.bench.options import Synthetic

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CHUNK_EVENTS = 5_000
_RAMP_GAPS = 5


class Events:
    """Equally long columns of events in order: numbers of users and items, places in `actions`."""

    def __init__(self, users: Ints, items: Ints, actions: Ints) -> None:
        self.users, self.items, self.actions = users, items, actions

    def __len__(self) -> int:
        return len(self.users)


class Population:
    """Who is there and what they like.

    Attributes:
        item_shares: Share of the popularity of each item, float64, shape (items,).
        cluster_of: Cluster of each item, shape (items,).
        preferred: Clusters a user prefers, shape (users, clusters_per_user).
    """

    def __init__(self, settings: Synthetic) -> None:
        rng = np.random.default_rng([settings.seed, 0])
        self.settings = settings
        shares = _zipf(settings.items, settings.zipf)
        self.item_shares = shares[rng.permutation(settings.items)]
        # Each cluster has as many items as the next, popular ones and others.
        self.cluster_of = rng.permutation(np.arange(settings.items) % settings.clusters)
        user_shares = _zipf(settings.users, settings.user_zipf)
        self._user_ends = np.cumsum(user_shares[rng.permutation(settings.users)])
        self.preferred = np.argsort(
            rng.random((settings.users, settings.clusters)), axis=1, kind="stable"
        )[:, : settings.clusters_per_user]
        self._sorted = np.argsort(self.cluster_of, kind="stable")
        self._ends = np.cumsum(self.item_shares[self._sorted])
        sizes = np.bincount(self.cluster_of, minlength=settings.clusters)
        self._last = np.cumsum(sizes) - 1
        self._cluster_ends = np.cumsum(1 / np.arange(1, settings.clusters_per_user + 1))

    def users(self, count: int, rng: np.random.Generator) -> Ints:
        """Draw who comes."""
        return _draw(self._user_ends, 0.0, self._user_ends[-1], rng.random(count))

    def items(self, users: Ints, rng: np.random.Generator) -> Ints:
        """Draw an item for each event of these users."""
        chosen = _draw(self._cluster_ends, 0.0, self._cluster_ends[-1], rng.random(len(users)))
        clusters = self.preferred[users, chosen]
        inside = rng.random(len(users)) < self.settings.loyalty
        low = np.where(inside & (clusters > 0), self._ends[self._last[clusters - 1]], 0.0)
        high = np.where(inside, self._ends[self._last[clusters]], self._ends[-1])
        return self._sorted[_draw(self._ends, low, high, rng.random(len(users)))]


def _zipf(count: int, exponent: float) -> Floats:
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    shares: Floats = weights / weights.sum()
    return shares


def _draw(ends: Floats, low: Floats | float, high: Floats | float, at: Floats) -> Ints:
    """Places whose part of the cumulated shares, between low and high, holds the random point."""
    places = np.searchsorted(ends, low + at * (high - low), side="right")
    return np.minimum(places, len(ends) - 1)


class Sessions:
    """Columns of events in order, chunk by chunk, for ever; the same for seed and rate.

    Args:
        population: Who acts.
        rate_per_s: Events a second, by which sessions are interleaved.
        stream: Number of the stream: each is another one.
    """

    def __init__(self, population: Population, rate_per_s: float, stream: int = 0) -> None:
        self._population, self._rate = population, rate_per_s
        self._rng = np.random.default_rng([population.settings.seed, 1, stream])
        frequencies = np.array(list(population.settings.actions.values()))
        self._action_ends = np.cumsum(frequencies / frequencies.sum())

    def chunks(self) -> Iterator[Events]:
        """Events by the thousands."""
        settings = self._population.settings
        span_s = _CHUNK_EVENTS / self._rate
        # Sessions that began before the first event are under way when it comes.
        now_s = -_RAMP_GAPS * settings.session_events * settings.gap_s
        times, users = np.empty(0), np.empty(0, np.int64)
        while True:
            began = self._began(now_s, span_s)
            times, users = np.concatenate([times, began[0]]), np.concatenate([users, began[1]])
            now_s += span_s
            due = times < now_s
            order = np.argsort(times[due], kind="stable")
            ready = users[due][order][times[due][order] >= 0]
            times, users = times[~due], users[~due]
            if len(ready):
                yield self._events(ready)

    def _began(self, now_s: float, span_s: float) -> tuple[Floats, Ints]:
        """Times and users of all events of the sessions that begin within the span."""
        settings, rng = self._population.settings, self._rng
        count = rng.poisson(self._rate / settings.session_events * span_s)
        starts = now_s + rng.random(count) * span_s
        lengths = rng.geometric(1 / settings.session_events, count)
        users = np.repeat(self._population.users(count, rng), lengths)
        gaps = rng.exponential(settings.gap_s, len(users))
        firsts = np.cumsum(lengths) - lengths
        gaps[firsts] = 0.0
        since = np.cumsum(gaps)
        return np.repeat(starts - since[firsts], lengths) + since, users

    def _events(self, users: Ints) -> Events:
        items = self._population.items(users, self._rng)
        actions = _draw(self._action_ends, 0.0, 1.0, self._rng.random(len(users)))
        return Events(users, items, actions)
