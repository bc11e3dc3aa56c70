"""What the features are worth, learned from the stream: the only loop there is.

When a user likes a new item that stood in the snapshot of the last list, the item should have come
first. With z = W . x over the snapshot and softmax p(j) = exp(z_j) / sum exp(z), the loss is
-ln p(liked), its gradient

    g = sum_j p(j) x_j - x_liked

and a step is AdaGrad's (Duchi et al., JMLR 2011), for each feature: A += g*g, W -= rate*g/sqrt(A).
The weights begin as those of the settings and are published once a period, so they are a few
minutes old where they are used, which costs nothing that could be measured.

Live, gradients travel in `headwater.outcomes` to the job `learn`, whose stage is `Learning`, and
weights come back through `headwater.strategy`. A replay has them in one graph (`operators.taught`).
Weights belong to a tenant: what sells shoes says nothing about films.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct

from operators.features import FEATURES, Floats, Weights
from operators.kernels import NOWHERE, kernel, place_of
from operators.messages import Gradient, NewWeights, Outcome, order
from operators.parameters import LearningSettings
from operators.stage import Codec, Out, StructCodec, Table


class Learned(Struct, array_like=True):
    """The weights of one tenant.

    Attributes:
        values: By feature; a feature that is new to the state begins as in the settings.
        squares: AdaGrad's sums.
        steps: Gradients so far; `published` of them have been told.
        newest_ms: Event time of the newest gradient.
        waiting: In a replay, (time of effect, weights) that are on their way.
    """

    values: dict[str, float]
    squares: dict[str, float]
    steps: int = 0
    published: int = 0
    newest_ms: int = 0
    waiting: list[tuple[int, NewWeights]] = []


@dataclass
class LearningState:
    """Weights by tenant."""

    learned: Table[Learned]


class Learning:
    """The stage of the job `learn`; answers with weights when it is asked what it holds back."""

    name = "learning"
    inputs = Gradient
    codecs: Mapping[str, Codec[Any]] = {"learned": StructCodec(Learned)}
    state_type = LearningState
    order = staticmethod(order)

    def __init__(self, settings: LearningSettings, weights: Weights) -> None:
        self._settings = settings
        self._weights = weights

    def apply(self, state: LearningState, batch: Sequence[Gradient]) -> list[Out]:
        learned: dict[str, Learned] = {}
        for gradient in batch:
            one = learned.get(gradient.tenant) or state.learned.get(gradient.tenant)
            learned[gradient.tenant] = one = one or start(self._weights)
            step(one, gradient, self._settings, self._weights)
        for tenant, one in learned.items():
            state.learned.put(tenant, one)
        return []

    def settle(self, state: LearningState, limit: int | None = None) -> list[Out]:
        """The weights of each tenant that have changed since the last call."""
        outs: list[Out] = []
        for tenant in state.learned.all_keys():
            one = state.learned.get(tenant)
            if one is not None and one.steps > one.published:
                outs.append(Out("strategy", tenant, publish(one, tenant, self._weights.model)))
                state.learned.put(tenant, one)
        return outs


def start(weights: Weights) -> Learned:
    """Nothing learned yet."""
    return Learned(dict(weights.values), {})


def step(
    learned: Learned, gradient: Gradient, settings: LearningSettings, weights: Weights
) -> None:
    """Follow one gradient, in place."""
    for feature, slope in gradient.values.items():
        square = learned.squares.get(feature, settings.start) + slope * slope
        learned.squares[feature] = square
        before = learned.values.get(feature, weights.values.get(feature, 0.0))
        learned.values[feature] = before - settings.rate * slope / float(np.sqrt(square))
    learned.steps += 1
    learned.newest_ms = max(learned.newest_ms, gradient.time_ms)


def gradient_in(outcome: Outcome) -> Gradient | None:
    """What there is to learn from an outcome."""
    if not outcome.gradient:
        return None
    slopes = np.frombuffer(outcome.gradient, "<f8").tolist()
    values = dict(zip(FEATURES, slopes, strict=True))
    return Gradient(outcome.time_ms, outcome.event_id, outcome.tenant, values)


def publish(learned: Learned, tenant: str, model: str) -> NewWeights:
    """The weights as they are now, under a name of their own."""
    learned.published = learned.steps
    name = f"{model}.{learned.steps}"
    return NewWeights(learned.newest_ms, "", tenant, name, dict(learned.values))


@kernel
def gradient_of(x: Any, values: Any, keys: Any, liked: Any) -> Any:
    """Gradient of -ln softmax(x . values)[liked]; shape (features,), or empty.

    Args:
        x: Features of the snapshot, shape (n, features).
        values: Weights by `features.FEATURES`.
        keys: Of the snapshot.
        liked: Key of the item that was liked; where it is not among them, there is no gradient.
    """
    place = place_of(keys, len(keys), liked)
    if place == NOWHERE:
        return np.empty(0)
    scores = np.zeros(len(x))
    for item in range(len(x)):
        for feature in range(len(values)):
            scores[item] += values[feature] * x[item, feature]
    scores = np.exp(scores - scores.max())
    total = 0.0
    for item in range(len(x)):
        total += scores[item]
    found = np.zeros(len(values))
    for item in range(len(x)):
        for feature in range(len(values)):
            found[feature] += scores[item] / total * x[item, feature]
    for feature in range(len(values)):
        found[feature] -= x[place, feature]
    return found


class Voices:
    """The weights in force by tenant, as arrays; a memo and no state."""

    def __init__(self, weights: Weights) -> None:
        self._start = weights.of(FEATURES), weights.model
        self._before = weights.values
        self._made: dict[str, tuple[NewWeights, Floats]] = {}

    def of(self, told: Table[NewWeights], tenant: str) -> tuple[Floats, str]:
        """Weights by `features.FEATURES`, and their name."""
        weights = told.get(tenant)
        if weights is None:
            return self._start
        made = self._made.get(tenant)
        if made is None or made[0] != weights:
            known = {**self._before, **weights.values}
            values = np.array([known.get(name, 0.0) for name in FEATURES])
            made = self._made[tenant] = weights, values
        return made[1], weights.model
