"""Looks for a peer's parameters on an early part of the stream, by trying a small grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from deploy.peers.results import hit_rate
from deploy.peers.running import Job, Measurement, run

BEGIN, END = 0.1, 0.3
"""The validation part, in shares of the interactions: what is before it is learned and not
foretold, what comes after it is not read."""
VALIDATION = f"the interactions from {BEGIN:.0%} to {END:.0%} of the stream"
K = 10


class Trial(Struct, frozen=True, kw_only=True):
    """Parameters, and how good they were on the validation part.

    Attributes:
        parameters: See there.
        score: HR@10, or the root mean squared error for a peer that makes no lists.
        seconds_cpu: What it took.
    """

    parameters: dict[str, Any]
    score: float
    seconds_cpu: float


class Tuning(Struct, frozen=True, kw_only=True):
    """All trials of a peer, in the order of its grid.

    Attributes:
        metric: `hr@10` or `rmse`.
        trials: See there.
    """

    metric: str
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The best trial; of equal ones the first."""
        sign = -1.0 if self.metric == "hr@10" else 1.0
        return min(self.trials, key=lambda trial: sign * trial.score)


def validation_part(job: Job) -> Job:
    """The job, on the validation part alone."""
    return Job(
        peer=job.peer, stream=job.stream, until=max(1, int(job.until * END)), every=job.every,
        parameters=job.parameters, first=int(job.until * BEGIN),
    )  # fmt: skip


def tune(
    job: Job, python: Path, folder: Path, on_progress: Callable[[int], object] | None = None
) -> Tuning:
    """Try all parameters of a job on its validation part.

    Args:
        job: Of the whole stream.
        python: As `running.run` takes it, likewise `folder` and `on_progress`.
        folder: See there.
        on_progress: See there.

    Raises:
        HeadwaterError: If the program fails.
    """
    report = run(validation_part(job), python, folder, on_progress)
    ranks = any(one.rows for one in report.runs)
    trials = [
        Trial(parameters=p, score=_score(one, ranks=ranks), seconds_cpu=round(one.seconds_cpu, 2))
        for p, one in zip(job.parameters, report.runs, strict=True)
    ]
    return Tuning(metric="hr@10" if ranks else "rmse", trials=trials)


def _score(measured: Measurement, *, ranks: bool) -> float:
    if ranks:
        return hit_rate([("", rank or None) for rank in measured.ranks], K)
    return measured.errors.rmse if measured.errors else float("inf")
