"""`headwater tune`: settings chosen on the validation part of a data set, by replay.

The events of the test part are not sent at all: what is judged later has never been looked at.
Each trial is a whole run of the job over train and validation, one after the other; trials are
proposed by a tree-structured Parzen estimator (Bergstra et al., NIPS 2011; optuna), the defaults
are the first. The best settings go into a TOML file that `evaluate`, `submit` and the jobs read.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, structs

from deploy.evaluation import evaluate as work
from deploy.evaluation.evaluate import Options
from deploy.evaluation.intervals import Bootstrap, Comparison, Estimate
from deploy.evaluation.judged import Flags, Judged
from deploy.evaluation.metrics import gains, hits
from deploy.evaluation.protocols import Cuts, cuts_of, selections
from deploy.evaluation.sources import EvaluationError
from deploy.evaluation.stream import Events
from deploy.replay.progress import Show
from jobs.settings import Recommend


class Range(Struct, frozen=True):
    """Values that a setting is tried with, from `low` to `high`; `log` tries ratios, not sums."""

    low: float
    high: float
    whole: bool = False
    log: bool = False


SPACE: Mapping[str, Range] = {
    "neighbours.damping": Range(10, 300, log=True),
    "neighbours.forward_share": Range(0.5, 0.9),
    "neighbours.rows_max": Range(50, 200, whole=True, log=True),
    "ranking.decay": Range(0.8, 0.97),
    "ranking.candidates_max": Range(100, 400, whole=True, log=True),
}
"""What is searched: the settings that moved the numbers on the data the defaults were found on."""


class Trial(Struct, frozen=True, kw_only=True):
    """One run: what was set, and NDCG on the validation part."""

    values: dict[str, float]
    hr: float
    ndcg: float


class Tuned(Struct, kw_only=True):
    """What a search found.

    Attributes:
        best: Settings by name; empty where nothing beat the defaults.
        gain: Hits with them minus hits with the defaults, on the same rows.
        test_rows: Events that were never sent.
    """

    trials: list[Trial]
    best: dict[str, float]
    defaults: Estimate
    found: Estimate
    gain: Comparison
    rows: int
    test_rows: int


def tune(
    place: Path, options: Options, trials: int, space: Mapping[str, Range], show: Show,
    on_trial: Callable[[int, Trial], object] | None = None,
) -> Tuned:  # fmt: skip
    """Search the space on the validation part.

    Raises:
        EvaluationError: The validation part has no row to judge.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    runs = _Runs(place, options, show)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=options.seed)
    )
    study.enqueue_trial(runs.defaults(space))
    tried: list[Trial] = []

    def objective(trial: Any) -> float:
        values = {name: _suggest(trial, name, span) for name, span in space.items()}
        judged, rows = runs.run(values if len(tried) else {})
        found = runs.note(judged, rows, values)
        tried.append(found)
        if on_trial:
            on_trial(len(tried), found)
        return found.ndcg

    study.optimize(objective, n_trials=trials)
    best = max(range(len(tried)), key=lambda number: tried[number].ndcg)
    return runs.tuned(tried, best)


class _Runs:
    """Runs of one data set without its test part; keeps the hits of each."""

    def __init__(self, place: Path, options: Options, show: Show) -> None:
        self._place, self._options, self._show = place, options, show
        self._hits: list[Flags] = []
        self._users = np.zeros(0, np.int64)
        self._cuts: Cuts | None = None
        self._left_out = 0

    def defaults(self, space: Mapping[str, Range]) -> dict[str, float]:
        """What the settings are without a search, within the space."""
        settings, found = work.settings_of(self._options), {}
        for name, span in space.items():
            value = min(span.high, max(span.low, value_of(settings, name)))
            found[name] = int(value) if span.whole else value
        return found

    def run(self, values: Mapping[str, float]) -> tuple[Judged, Flags]:
        """Run the job with these settings; the judged rows of the validation part."""
        overrides = [*self._options.overrides, *(f"{k}={v}" for k, v in values.items())]
        options = structs.replace(self._options, overrides=overrides)
        settings = work.settings_of(options)
        ran = work.run(self._place, options, settings, self._show, self._without_test)
        assert self._cuts is not None
        rows = selections(ran.judged, self._cuts)["validation"]
        if not rows.any():
            msg = (
                "no positive in the validation part: the data set is too small to tune on. "
                "--positive lowers the strength of a like"
            )
            raise EvaluationError(msg)
        return ran.judged, rows

    def note(self, judged: Judged, rows: Flags, values: dict[str, float]) -> Trial:
        """Keep what a run hit."""
        ranks, k = judged.rank[rows], self._options.k
        hit = hits(ranks, k)
        self._hits.append(hit > 0)
        self._users = judged.user[rows]
        return Trial(values=values, hr=float(hit.mean()), ndcg=float(gains(ranks, k).mean()))

    def tuned(self, tried: list[Trial], best: int) -> Tuned:
        """The best trial against the first."""
        draws = Bootstrap(self._users, self._options.seed)
        first, found = self._hits[0], self._hits[best]
        defaults, estimate = draws.means([first.astype(np.float64), found.astype(np.float64)])
        return Tuned(
            trials=tried, best=tried[best].values if best else {}, defaults=defaults,
            found=estimate, gain=draws.compare(found, first), rows=len(first),
            test_rows=self._left_out,
        )  # fmt: skip

    def _without_test(self, events: Events) -> Events:
        self._cuts = cuts_of(events.times_ms)
        kept = np.flatnonzero(events.times_ms < self._cuts.test_ms)
        self._left_out = len(events) - len(kept)
        return events.take(kept)


def value_of(settings: Recommend, name: str) -> float:
    """A setting by its dotted name."""
    found: Any = settings
    for part in name.split("."):
        found = getattr(found, part)
    return float(found)


def _suggest(trial: Any, name: str, span: Range) -> float:
    if span.whole:
        return int(trial.suggest_int(name, int(span.low), int(span.high), log=span.log))
    return float(f"{trial.suggest_float(name, span.low, span.high, log=span.log):.4g}")


def as_toml(tuned: Tuned, place: Path, options: Options) -> str:
    """A settings file with what was found, and where it comes from."""
    gain, found = tuned.gain.difference, tuned.found
    lines = [
        f"# headwater tune {place.name}: {len(tuned.trials)} trials on {tuned.rows:,} validation "
        f"rows, seed {options.seed}, batches of {options.window_ms} ms.",
        f"# HR@{options.k} {found.value:.4f}, defaults {tuned.defaults.value:.4f}, difference "
        f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}).",
        f"# {tuned.test_rows:,} later events were not looked at.",
    ]  # fmt: skip
    if not tuned.best:
        lines.append("# Nothing beat the defaults.")
    tables: dict[str, list[str]] = {}
    for name, value in tuned.best.items():
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).append(f"{key} = {value}")
    for table, values in tables.items():
        lines += ["", f"[recommend.{table}]", *values]
    return "\n".join(lines) + "\n"


def only(names: Sequence[str]) -> dict[str, Range]:
    """The part of the space with these settings; all of it for none.

    Raises:
        EvaluationError: One is not in the space.
    """
    if unknown := [name for name in names if name not in SPACE]:
        msg = f"--only {', '.join(unknown)}: not searched; what is: {', '.join(SPACE)}"
        raise EvaluationError(msg)
    return {name: span for name, span in SPACE.items() if not names or name in names}
