"""An event against what was being shown to its user, before the ranking absorbs it."""

from collections.abc import Collection

import numpy as np

from operators.accumulator import RankedUser, seen_keys
from operators.features import FEATURES, Floats
from operators.learning import Voices, gradient_of
from operators.messages import Noted, Outcome, Pulled
from operators.outcomes import counts, is_hit, key_of_item, outcome_of
from operators.packing import contained, key_of
from operators.ranking_run import RankingState, Run, filter_of, tenant_of
from operators.served import SHOWN, Served, serve
from operators.shadows import NO_ROW, merged, standing_key
from operators.stage import COUNT, Out, labelled


class Judge:
    """Makes outcomes.

    Args:
        voices: Whose weights a gradient is about.
        variant: Name of the experiment's variant.
        shadows: Names of the models that are judged beside the served list.
    """

    def __init__(self, voices: Voices, variant: str, shadows: Collection[str]) -> None:
        self._voices, self._variant, self._shadows = voices, variant, shadows

    def judge(self, run: Run, key: str, user: RankedUser, message: Pulled | Noted) -> None:
        """Say what the user does with what was being shown before this run."""
        served = run.served.get(key)
        if served is None:
            served = run.served[key] = self._served(run, user, message)
        known = isinstance(message, Noted) and bool(
            contained(np.array([message.item_key], np.uint64), seen_keys(run.state.seen, key, user))
        )
        shadows = self._shadow_ranks(run, key, user, message) if self._shadows else {}
        gradient = self._gradient(run.state, user, message)
        told = outcome_of(
            message, user, served, self._variant, known=known, shadows=shadows, gradient=gradient
        )
        run.outs.append(Out("outcomes", key, told))

    def _gradient(self, state: RankingState, user: RankedUser, message: Pulled | Noted) -> bytes:
        """What a first like says about the weights, if the item was one of several known then."""
        if not isinstance(message, Pulled):
            return b""
        signal = message.counted.signal
        if not (signal.liked and signal.first):
            return b""
        own, known = np.uint64(key_of(message.counted.figures)), len(user.snapshot)
        if known < 2 or user.features.shape != (known, len(FEATURES)):
            return b""
        values, _ = self._voices.of(state.weights, signal.tenant)
        gradient: Floats = gradient_of(user.features, values, user.snapshot, own)
        return gradient.tobytes()

    def _served(self, run: Run, user: RankedUser, message: Pulled | Noted) -> Served:
        tenant = tenant_of(message)
        shared = run.before(tenant, message.time_ms)
        return serve(user.listed, shared, filter_of(user), run.unavailable_in(tenant))

    def _shadow_ranks(
        self, run: Run, key: str, user: RankedUser, message: Pulled | Noted
    ) -> dict[str, int | None]:
        """Where each shadow would have shown the item; nothing of one that knew no user yet."""
        lists = run.shadowed.get(key)
        if lists is None:
            tenant, rows = tenant_of(message), run.state.shadow.get(key) or {}
            rows = rows if user.listed.model else dict.fromkeys(self._shadows, NO_ROW)
            unavailable = run.unavailable_in(tenant)
            lists = run.shadowed[key] = {
                name: merged(rows[name], run.before(standing_key(tenant, name), message.time_ms),
                             filter_of(user), unavailable)
                for name in self._shadows if name in rows
            }  # fmt: skip
        item = key_of_item(message)
        return {name: one.rank(item) for name, one in lists.items()}

    def count(self, run: Run) -> None:
        """Count the outcomes and hits of the prequential protocol."""
        judged = [one.message for one in run.outs
                  if isinstance(one.message, Outcome) and counts(one.message)]  # fmt: skip
        if judged:
            run.outs.append(Out(COUNT, "outcomes", len(judged)))
            run.outs.append(Out(COUNT, "hits_10", sum(map(is_hit, judged))))
        for name in self._shadows:
            ranks = [one.shadows[name] for one in judged if name in one.shadows]
            if ranks:
                hits = sum(rank is not None and rank <= SHOWN for rank in ranks)
                run.outs.append(Out(COUNT, labelled("shadow", name, "outcomes"), len(ranks)))
                run.outs.append(Out(COUNT, labelled("shadow", name, "hits_10"), hits))
