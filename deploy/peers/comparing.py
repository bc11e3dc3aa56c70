"""All peers on one data set: environments, tuning, runs, one result each."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from deploy.errors import HeadwaterError
from deploy.peers.environments import python_of
from deploy.peers.interactions import Interactions, save
from deploy.peers.parameters import PeerSettings
from deploy.peers.results import Result, write
from deploy.peers.running import Job, result_of, run
from deploy.peers.tuning import END, VALIDATION, tune
from deploy.replay.progress import Show

NEEDS_RATINGS = frozenset({"svd", "svd++", "baseline-only", "biased-mf"})


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be run, and how.

    Attributes:
        settings: By peer, in the order of running.
        every: Interactions between two trainings; None leaves it to the settings.
        tune: Whether to look for better parameters first.
        environments: Folder of the virtual environments.
        out: Folder of the results.
    """

    settings: dict[str, PeerSettings]
    every: int | None
    tune: bool
    environments: Path
    out: Path


class Compared(Struct, frozen=True, kw_only=True):
    """Results, and the peers that gave none, with the reason: not fit for the data, or failed."""

    results: list[Result]
    unfit: dict[str, str]
    failed: dict[str, str]


def compare(given: Interactions, plan: Plan, show: Show, tell: Callable[[str], object]) -> Compared:
    """Run all peers of a plan; one that fails does not stop the others."""
    work = plan.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    stream = save(given, work)
    results: list[Result] = []
    unfit: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, settings in plan.settings.items():
        if name in NEEDS_RATINGS and not given.has_ratings:
            unfit[name] = "it foretells stars, and the data set has none"
            continue
        count = len(given.event_ids)
        job = Job(
            peer=name, stream=stream, until=count, every=settings.every(count, plan.every),
            parameters=[settings.parameters],
        )  # fmt: skip
        try:
            results.append(_run(job, settings, given, plan, show, tell))
        except HeadwaterError as error:
            failed[name] = str(error)
            tell(f"{name}: {error}")
    return Compared(results=results, unfit=unfit, failed=failed)


def _run(
    job: Job,
    settings: PeerSettings,
    given: Interactions,
    plan: Plan,
    show: Show,
    tell: Callable[[str], object],
) -> Result:
    work = plan.out / "work"
    python = python_of(settings.environment, plan.environments, tell)
    tuned = plan.tune and bool(settings.grid)
    if tuned:
        tried = structs.replace(job, parameters=settings.candidates())
        show.begin(f"tuning {job.peer}", int(job.until * END) * len(tried.parameters))
        found = tune(tried, python, work, show)
        (work / f"{job.peer}.tuning").write_bytes(msgspec.json.encode(found))
        job = structs.replace(job, parameters=[found.best.parameters])
        tell(f"{job.peer}: {found.metric} {found.best.score:.4f} of the validation part with "
             f"{job.parameters[0]}")  # fmt: skip
    show.begin(f"running {job.peer}", job.until)
    result = result_of(job, run(job, python, work, show), given)
    if tuned:
        result = structs.replace(result, tuned_on=VALIDATION)
    write(result, plan.out)
    return result
