"""Data sets as an evaluation takes them: scales of stars are found, what lacks is named."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from msgspec import structs

from deploy.errors import HeadwaterError
from deploy.evaluation.protocols import Protocol
from deploy.replay.options import Options
from deploy.replay.readers import Source, open_source
from deploy.replay.report import Report, SourceError

STAR_SCALES = (1.0, 5.0, 10.0, 20.0, 100.0)
"""Tops of scales in use; another one ends at the largest value seen."""
USERS_MIN = 2


class EvaluationError(HeadwaterError):
    """A data set, or what was asked of it, cannot be evaluated; the text says what can."""


def require(*modules: str) -> None:
    """Make sure that the libraries of the extra `evaluate` are there, before any work is done.

    Raises:
        EvaluationError: One is not.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        msg = (
            f"{', '.join(missing)} not installed; evaluations need the extra: "
            "pip install 'headwater[evaluate]' (make install has it)"
        )
        raise EvaluationError(msg)


def open_for_evaluation(
    place: Path,
    options: Options,
    protocol: Protocol,
    on_rows: Callable[[int], object] | None = None,
) -> Source:
    """Read a data set; ratings off the five-star scale are read once more, by the scale seen.

    Raises:
        SourceError: If it cannot be read.
        EvaluationError: If it cannot be evaluated by this protocol.
    """
    if options.file_order and protocol != "last-out":
        msg = (
            "--file-order: rows without times have no before and after across users, so "
            f"--protocol {protocol} means nothing; --protocol last-out is still possible"
        )
        raise EvaluationError(msg)
    report = Report(name="")
    try:
        source = open_source(place, options, on_rows, report)
    except SourceError as error:
        if not (scale := _other_scale(report, options)):
            raise _with_hint(error) from error
        source = _rescaled(place, options, scale, on_rows)
    else:
        if scale := _other_scale(report, options):
            source = _rescaled(place, options, scale, on_rows)
    _refuse_too_little(source)
    return source


def _other_scale(report: Report, options: Options) -> tuple[float, float] | None:
    """Bottom and top of the scale the stars were on, None if it is the one of the options."""
    if report.stars is None:
        return None
    low, high = report.stars
    fits = options.stars_min <= low and high <= options.stars_max
    if fits and (high > 1 or high <= 0 or options.stars_max != Options().stars_max):
        return None
    top = next((top for top in STAR_SCALES if high <= top), high)
    if top > STAR_SCALES[0] and low < 0:
        top = high
    return min(low, 0.0), top


def _rescaled(
    place: Path,
    options: Options,
    scale: tuple[float, float],
    on_rows: Callable[[int], object] | None,
) -> Source:
    low, high = scale
    source = open_source(place, structs.replace(options, stars_min=low, stars_max=high), on_rows)
    note = f"ratings are on a scale of {low:g} to {high:g}, read as 0 to 5 stars"
    source.report.notes.append(note)
    return source


def _with_hint(error: SourceError) -> SourceError:
    """Say what is still possible where there are no times."""
    text = str(error)
    if "`event_time`" not in text and "`timestamp`" not in text:
        return error
    hint = (
        "without times only `--protocol last-out --file-order` is possible: "
        "the rows of each user are then taken to be in the order they happened"
    )
    return SourceError(f"{text}\n{hint}")


def _refuse_too_little(source: Source) -> None:
    report = source.report
    if report.users + report.sessions < USERS_MIN:
        msg = (
            f"the data set has {report.users + report.sessions} user with {report.events:,} "
            "events; lists are made of what other users do, so it takes at least two. If the "
            "users are in another column, --map user_id=COLUMN names it"
        )
        raise EvaluationError(msg)
