"""`headwater submit` and `headwater stop` as a person sees them."""

import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from deploy import launching, preflight
from deploy.catching_up import forget_offsets
from deploy.cluster import Cluster
from deploy.connections import Plan, plan
from deploy.errors import HeadwaterError
from deploy.launching import Launcher, LaunchError
from deploy.savepoints import LATEST, Savepoint, Savepoints
from deploy.stack import Stack, load_settings
from deploy.stack.reporting import Report, reporter
from jobs.kinds import kind_of
from jobs.meaning import meaning
from operators.meaning import changes, loss


class Options(Struct, frozen=True, kw_only=True):
    """How a job is to be started.

    Attributes:
        config: Settings file.
        overrides: `key=value` for the job.
        savepoint: A path, `latest`, or None to begin with the topics' first records.
        wait: Wait for the end of the job.
        verbose: Print what the job's program says, its effective settings above all.
    """

    config: Path | None = None
    overrides: Sequence[str] = ()
    savepoint: str | None = None
    wait: bool = False
    verbose: bool = False


def gather(clock: str | None, parallelism: int | None, overrides: Sequence[str]) -> list[str]:
    """Overrides of the named options and the given ones, which win."""
    named = {"clock": clock, "parallelism": parallelism}
    return [*(f"{key}={value}" for key, value in named.items() if value), *overrides]


def submit(job: str, options: Options) -> None:
    """Starts a job and says where it is.

    Raises:
        HeadwaterError: It cannot be started, or does not end well.
    """
    console, file = Console(), launching.job_file(job)
    planned = plan(options.config, options.overrides, kind_of(job))
    if options.wait and planned.settings.clock != "replay":
        msg = "--wait waits for the end of a job, and a live one has none: add --clock replay"
        raise HeadwaterError(msg)
    stack = Stack(planned.stack)
    with reporter(console) as report:
        job_id = launch(job, file, planned, options, stack, report, console)
        if options.wait:
            _launcher(stack).until_finished(job, job_id, report)
    console.print(f"{job}: {stack.flink_rest_url}/#/job/running/{job_id}", soft_wrap=True)


def launch(
    job: str,
    file: Path,
    planned: Plan,
    options: Options,
    stack: Stack,
    report: Report,
    console: Console,
) -> str:
    """Starts a job, prints the command, waits until all of it runs.

    Returns:
        Flink's id of the job.

    Raises:
        HeadwaterError: It cannot be started.
    """
    launcher = _launcher(stack)
    launcher.require_idle(job)
    if options.savepoint and planned.settings.clock == "replay":
        # Restored in a new run, Kafka's bounded source never tells that it has read all.
        msg = (
            "a replay cannot go on from a savepoint: its end would never be found. Begin it anew, "
            "without --from-savepoint: it gives the same rows once more"
        )
        raise HeadwaterError(msg)
    savepoints, means = Savepoints(stack.layout), meaning(planned.settings).settings
    savepoint = savepoints.find(job, options.savepoint) if options.savepoint else None
    preflight.check(planned)
    if savepoint is None:
        forget_offsets(planned.kafka)
    elif differing := changes(savepoints.meaning_of(savepoint), means):
        text = f"warning: {loss(differing)}"
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    launcher.make_room(planned.settings.parallelism or 1, report)
    called = launching.command(stack.flink_home, file, planned.arguments, savepoint)
    text = launching.typed(called, stack.flink_env(), launching.shell())
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    job_id = launcher.start(job, called, report)
    savepoints.started(job, job_id, means)
    if options.verbose:
        console.print(launcher.said, markup=False, highlight=False, soft_wrap=True)
    launcher.until_running(job, job_id, report)
    return job_id


def _launcher(stack: Stack) -> Launcher:
    return Launcher(stack, Cluster(stack.flink_rest_url))


def stop(job: str, config: Path | None, *, with_savepoint: bool) -> None:
    """Ends a job, with a savepoint to go on from.

    Raises:
        HeadwaterError: It does not run, or the savepoint fails.
    """
    console = Console()
    launching.job_file(job)
    stack = Stack(load_settings(config))
    with reporter(console) as report:
        taken = stop_with_savepoint(stack, job, report) if with_savepoint else None
        if taken is None:
            _cancel(Cluster(stack.flink_rest_url), job, report)
    if taken is not None:
        console.print(taken.path, soft_wrap=True, highlight=False)
        console.print(f"`headwater submit {job} --from-savepoint {LATEST}` goes on from there.")


def stop_with_savepoint(stack: Stack, job: str, report: Report) -> Savepoint:
    """Ends a job with a savepoint and records that.

    Raises:
        LaunchError: It does not run as a whole.
    """
    cluster = Cluster(stack.flink_rest_url)
    job_id = _running(cluster, job)
    now = cluster.job(job_id)
    if now.ready() < len(now.vertices) or not now.vertices:
        msg = (
            f"{job} is {now.state.lower()}, {now.ready()} of {len(now.vertices)} tasks run: a "
            "savepoint needs all of them. Wait, or end it with --no-savepoint"
        )
        raise LaunchError(msg)
    report(job, "taking a savepoint")
    path = cluster.stop(job_id, stack.layout.savepoints.as_uri())
    savepoints = Savepoints(stack.layout)
    taken = Savepoint(
        job=job, path=path, job_id=job_id, taken_ms=time.time_ns() // 1_000_000,
        meaning=savepoints.meaning_of(job_id),
    )  # fmt: skip
    savepoints.record(taken)
    report(job, "stopped", done=True)
    return taken


def _cancel(cluster: Cluster, job: str, report: Report) -> None:
    job_id = _running(cluster, job)
    report(job, "cancelling")
    cluster.cancel(job_id)
    report(job, "cancelled", done=True)


def _running(cluster: Cluster, job: str) -> str:
    """Flink's id of the active run.

    Raises:
        LaunchError: There is none.
    """
    active = cluster.active(launching.flink_name(job))
    if active is None:
        msg = f"{job} does not run: `headwater submit {job}` starts it"
        raise LaunchError(msg)
    return active.job_id
