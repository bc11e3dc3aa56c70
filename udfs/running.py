"""Runs a model over tokenised texts in planned batches, and past whatever a text does to it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from udfs.batching import plan
from udfs.handler import Failure, Limits

T = TypeVar("T")

Ids = Sequence[int]
Call = Callable[[Sequence[Ids]], Sequence[T | None]]
"""One call of a model: token ids of some texts to as many answers, None for one that is no number.

It may raise anything, out of memory above all.
"""

_REASON_CHARACTERS = 200


def run(ids: Sequence[Ids], limits: Limits, call: Call[T]) -> list[T | Failure]:
    """An answer or a failure for each text, in order.

    If a call fails it is tried again in halves, down to single texts: a batch too large for the
    memory goes through in parts, and a text that the model cannot read is alone in its failure.
    """
    answers: list[T | Failure] = [Failure("before", "no tokens in it")] * len(ids)
    filled = [at for at, one in enumerate(ids) if len(one)]
    batches = [[filled[at] for at in one] for one in plan([len(ids[at]) for at in filled], limits)]
    while batches:
        chosen = batches.pop(0)
        reason = _attempt(ids, chosen, call, answers)
        if reason is None:
            continue
        if len(chosen) == 1:
            answers[chosen[0]] = Failure("in", f"{reason} ({len(ids[chosen[0]])} tokens)")
            continue
        half = len(chosen) // 2
        batches[:0] = [chosen[:half], chosen[half:]]
    return answers


def _attempt(
    ids: Sequence[Ids], chosen: Sequence[int], call: Call[T], answers: list[T | Failure]
) -> str | None:
    """Answers the chosen texts, or says why not. Returning frees the memory the call held."""
    try:
        found = call([ids[at] for at in chosen])
    except Exception as error:  # whatever a model raises, the other texts go on
        first = (str(error).splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {first[:_REASON_CHARACTERS]}"
    else:
        for at, answer in zip(chosen, found, strict=True):
            answers[at] = Failure("after", "no finite answer") if answer is None else answer
        return None
    _release()
    return reason


def _release() -> None:
    """Give a GPU's memory back before trying again with less."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
