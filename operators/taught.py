"""The ranking and the learning of its weights in one stage, for a replay.

Live, weights come back through a topic. A replay cannot wait for one: it has all users in one
bucket and does here what the job `learn` does, by event time. The gradients of a period are
followed by its end; the weights of then take effect `delay_ms` later, as if they had travelled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.features import Weights
from operators.learning import Learned, gradient_in, publish, start, step
from operators.messages import NewWeights, Outcome
from operators.parameters import LearningSettings, RankingSettings, Shadow
from operators.ranking import Ranking
from operators.ranking_run import OfUser, RankingState, Shared, tenant_of
from operators.stage import Codec, Out, StructCodec, Table


@dataclass
class TaughtState(RankingState):
    """The state of the ranking, and the weights by tenant."""

    learned: Table[Learned]


class Taught(Ranking):
    """See the module."""

    codecs: Mapping[str, Codec[Any]] = {**Ranking.codecs, "learned": StructCodec(Learned)}
    state_type = TaughtState

    def __init__(
        self,
        settings: RankingSettings,
        weights: Weights,
        learning: LearningSettings,
        variant: str = "default",
        shadows: Mapping[str, Shadow] | None = None,
    ) -> None:
        super().__init__(settings, weights, learning, variant, shadows)
        self._weights = weights
        self._learning = learning

    def apply(self, state: Any, batch: Sequence[OfUser | Shared]) -> list[Out]:
        learned: dict[str, Learned] = {}
        due = self._due(state, batch, learned)
        outs = super().apply(state, [*due, *batch])
        outs += [Out("strategy", told.tenant, told) for told in due]
        for out in outs:
            gradient = gradient_in(out.message) if isinstance(out.message, Outcome) else None
            if gradient is not None:
                one = learned.get(gradient.tenant) or start(self._weights)
                learned[gradient.tenant] = one
                step(one, gradient, self._learning, self._weights)
        for tenant, one in learned.items():
            state.learned.put(tenant, one)
        return outs

    def _due(
        self, state: TaughtState, batch: Sequence[OfUser | Shared], learned: dict[str, Learned]
    ) -> list[NewWeights]:
        """Weights that take effect with this batch; reads what its tenants have learned."""
        now_ms: dict[str, int] = {}
        for message in batch:
            if not isinstance(message, Shared):
                tenant = tenant_of(message)
                now_ms[tenant] = min(message.time_ms, now_ms.get(tenant, message.time_ms))
        due: list[NewWeights] = []
        for tenant, time_ms in now_ms.items():
            one = state.learned.get(tenant)
            if one is not None:
                learned[tenant] = one
                due += self._advance(one, tenant, time_ms)
        return due

    def _advance(self, learned: Learned, tenant: str, now_ms: int) -> list[NewWeights]:
        """Close the period of the newest gradient if it is over; the newest weights in effect."""
        period_ms = self._learning.period_ms
        end_ms = (learned.newest_ms // period_ms + 1) * period_ms
        if learned.steps > learned.published and now_ms >= end_ms:
            told = publish(learned, tenant, self._weights.model)
            learned.waiting.append((end_ms + self._learning.delay_ms, told))
        effective = [told for then_ms, told in learned.waiting if then_ms <= now_ms]
        del learned.waiting[: len(effective)]
        return effective[-1:]
