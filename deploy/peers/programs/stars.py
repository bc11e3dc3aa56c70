"""Peers that foretell stars: SVD, SVD++ and BaselineOnly of Surprise, BiasedMF of river.

They make no lists: what foretells ratings best ranks badly (Cremonesi et al., RecSys 2010).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .past import Event, Past
from .prequential import Batch, Scores, Streaming

_USER_DAMPING, _ITEM_DAMPING = 15.0, 10.0
"""Of Surprise's own baselines (Koren, TKDD 2010)."""


class _Bounds:
    """The least and the largest stars so far, in which all that is foretold lies."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    @property
    def known(self) -> bool:
        """Whether there were any."""
        return self._low <= self._high

    def see(self, stars: float) -> None:
        """Take in stars."""
        self._low, self._high = min(self._low, stars), max(self._high, stars)

    def within(self, estimate: float) -> float:
        """The nearest that may be."""
        return float(np.clip(estimate, self._low, self._high))


class SurpriseParameters(NamedTuple):
    """Parameters.

    Attributes:
        model: SVD, SVDpp or BaselineOnly.
        options: Of its constructor.
        seed: Of the first vectors.
    """

    model: str = "SVD"
    options: Mapping[str, Any] = MappingProxyType({})
    seed: int = 1


class Surprise(Batch):
    """Trained anew on all ratings so far; between trainings the biases of users and items go on.

    To the model's estimate come the damped means of what it has been wrong by since its training,
    sum / (damping + count), for the item and then for the user. For somebody whom the training did
    not know, this is the very bias that Surprise's baseline would estimate.
    """

    ranks = False

    def __init__(self, past: Past, parameters: SurpriseParameters) -> None:
        import surprise

        self._past, self._parameters = past, parameters
        self._kind = getattr(surprise, parameters.model)
        self._data = surprise.Dataset(surprise.Reader(rating_scale=(0.0, 5.0)))
        self._model: Any = None
        stream = past.stream
        self._users = np.zeros((stream.user_count, 2))
        self._items = np.zeros((stream.item_count, 2))
        self._bounds = _Bounds()

    def train(self) -> None:
        stream, count = self._past.stream, self._past.count
        rated = np.flatnonzero(~np.isnan(stream.ratings[:count]))
        if not len(rated):
            return
        columns = (stream.users, stream.items, stream.ratings)
        rows = zip(
            *(column[rated].tolist() for column in columns), [None] * len(rated), strict=True
        )
        options = dict(self._parameters.options)
        if self._parameters.model != "BaselineOnly":
            options["random_state"] = self._parameters.seed
        self._model = (
            self._kind(verbose=False, **options) if self._is_baseline() else self._kind(**options)
        )
        self._model.fit(self._data.construct_trainset(list(rows)))
        self._users[:] = self._items[:] = 0.0

    def _is_baseline(self) -> bool:
        return self._parameters.model == "BaselineOnly"

    def scores(self, user: int) -> Scores | None:
        return None

    def expects(self, event: Event) -> float | None:
        if self._model is None:
            return None
        user_bias, item_bias = self._corrections(event)
        return self._bounds.within(self._estimate(event) + user_bias + item_bias)

    def learn(self, event: Event) -> None:
        if np.isnan(event.rating):
            return
        self._bounds.see(event.rating)
        if self._model is None:
            return
        estimate = self._estimate(event)
        user_bias, item_bias = self._corrections(event)
        self._items[event.item] += (event.rating - estimate - user_bias, 1.0)
        self._users[event.user] += (event.rating - estimate - item_bias, 1.0)

    def _estimate(self, event: Event) -> float:
        return float(self._model.predict(event.user, event.item, clip=False).est)

    def _corrections(self, event: Event) -> tuple[float, float]:
        (user_sum, user_count), (item_sum, item_count) = (
            self._users[event.user],
            self._items[event.item],
        )
        return user_sum / (_USER_DAMPING + user_count), item_sum / (_ITEM_DAMPING + item_count)


class RiverParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Length of the vectors.
        bias_rate: Learning rate of biases.
        vector_rate: Learning rate of vectors.
        bias_penalty: L2 penalty of biases.
        vector_penalty: L2 penalty of vectors.
        seed: Of the first vectors.
    """

    factors: int = 10
    bias_rate: float = 0.025
    vector_rate: float = 0.05
    bias_penalty: float = 0.02
    vector_penalty: float = 0.02
    seed: int = 1


class River(Streaming):
    """Learns every rating by one step of gradient descent."""

    ranks = False

    def __init__(self, past: Past, parameters: RiverParameters) -> None:
        from river import optim, reco

        self._model = reco.BiasedMF(
            n_factors=parameters.factors,
            bias_optimizer=optim.SGD(parameters.bias_rate),
            latent_optimizer=optim.SGD(parameters.vector_rate),
            l2_bias=parameters.bias_penalty,
            l2_latent=parameters.vector_penalty,
            seed=parameters.seed,
        )
        self._bounds = _Bounds()

    def scores(self, user: int) -> Scores | None:
        return None

    def expects(self, event: Event) -> float | None:
        if not self._bounds.known:
            return None
        estimate = self._model.predict_one(user=event.user, item=event.item)
        return self._bounds.within(estimate)

    def learn(self, event: Event) -> None:
        if np.isnan(event.rating):
            return
        self._bounds.see(event.rating)
        self._model.learn_one(user=event.user, item=event.item, y=event.rating)
