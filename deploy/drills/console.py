"""The `drill` command as a person sees it."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from deploy.cluster import Cluster
from deploy.connections import plan
from deploy.drills import drill as legs
from deploy.drills.drill import Outcome, Reference
from deploy.drills.faults import DRILLS, Drill
from deploy.drills.scene import JOB, DrillError, Names, Site, keyspaces
from deploy.errors import HeadwaterError
from deploy.launching import Launcher
from deploy.stack import Stack, schema
from deploy.stack.reporting import Report, reporter


class Options(Struct, frozen=True, kw_only=True):
    """How the drills are held: which legs, events a second, events of the replay, TaskManagers."""

    leg: str = "both"
    rate: int = 300
    events: int = 60_000
    parallelism: int = 2


class Result(Struct, frozen=True, kw_only=True):
    """What is written as JSON."""

    started_at: str
    options: Options
    drills: Sequence[Outcome]


def tell() -> int:
    """Print which drills there are."""
    table = Table("drill", "what is done", box=None)
    for one in DRILLS.values():
        table.add_row(one.name, one.about)
    Console().print(table)
    return 0


def chosen(names: Sequence[str]) -> list[Drill]:
    """The drills of these names, or all.

    Raises:
        DrillError: There is none of a name.
    """
    if unknown := [name for name in names if name not in DRILLS]:
        msg = f"there is no drill {unknown[0]!r}; drills are {', '.join(DRILLS)}"
        raise DrillError(msg)
    return [DRILLS[name] for name in names] or list(DRILLS.values())


def run(names: Sequence[str], options: Options, config: Path | None, out: Path | None) -> int:
    """Hold drills, print and write what they showed.

    Returns:
        The exit code: 0 if nothing was lost and no row differs.
    """
    drills, console = chosen(names), Console()
    stack = Stack(plan(config).stack)
    started = datetime.now(UTC)
    outcomes: list[Outcome] = []
    with reporter(console) as report, opened(stack, config, options, report) as site:
        run_name = f"{started:%H%M%S}"
        for outcome in held(site, drills, options, run_name):
            outcomes.append(outcome)
            report(outcome.name, _in_words(outcome), done=True)
            if out is not None:
                result = Result(started_at=started.isoformat(), options=options, drills=outcomes)
                out.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    console.print(summary(outcomes))
    for one in outcomes:
        for text in one.wrong():
            console.print(f"{one.name}: {text}", style="red", markup=False, soft_wrap=True)
    return 1 if any(one.wrong() for one in outcomes) else 0


@contextlib.contextmanager
def opened(stack: Stack, config: Path | None, options: Options, report: Report) -> Iterator[Site]:
    """The stack, started if it is down, with no other job on it.

    Raises:
        HeadwaterError: The job runs already, or the stack does not start.
    """
    if stack.secure:
        msg = "this stack has passwords, and drills know none: give them a `home` of their own"
        raise DrillError(msg)
    stack.up(report)
    Launcher(stack, Cluster(stack.flink_rest_url)).require_idle(JOB)
    with schema.connected(stack.cassandra_hosts, stack.cassandra_port) as session:
        yield Site(
            stack=stack, session=session, config=config, report=report,
            parallelism=options.parallelism,
        )  # fmt: skip


def held(site: Site, drills: Sequence[Drill], options: Options, run: str) -> Iterator[Outcome]:
    """The drills, one after the other."""
    calm, hit = f"drill_{run}_calm", f"drill_{run}_hit"
    with keyspaces(site, [calm, hit]), contextlib.ExitStack() as closing:
        wanted: Reference | None = None
        if options.leg != "live" and any(one.replay for one in drills):
            wanted = closing.enter_context(
                legs.reference(site, Names(f"{run}-replay"), calm, options.events)
            )
        for one in drills:
            if (obstacle := one.obstacle()) is not None:
                yield Outcome(name=one.name, about=one.about, skipped=obstacle)
                continue
            yield _both_legs(site, one, options, Names(f"{run}-{one.name}"), hit, wanted)


def _both_legs(
    site: Site, one: Drill, options: Options, names: Names, keyspace: str, wanted: Reference | None
) -> Outcome:
    """One drill; one that fails does not keep the others from being held."""
    live = replay = failed = None
    try:
        site.stack.up(site.report)
        if options.leg != "replay":
            live = legs.live(site, [one], names, keyspace, options.rate)
        if wanted is not None and one.replay:
            replay = legs.replayed(site, one, wanted, keyspace)
    except HeadwaterError as error:
        failed = str(error)
    return Outcome(name=one.name, about=one.about, failed=failed, live=live, replay=replay)


def summary(outcomes: Sequence[Outcome]) -> Table:
    """What the drills showed, a line each."""
    table = Table(
        "drill", "events", "lost or doubled", "fresh again", "oldest list", "rows compared",
        "rows that differ", "replay", box=None,
    )  # fmt: skip
    for one in outcomes:
        if one.skipped:
            table.add_row(one.name, f"skipped: {one.skipped}")
            continue
        cells = ["", "", "", ""]
        if live := one.live:
            cells = [
                f"{live.sent:,}", str(len(live.wrong)), f"{live.recovered_s:.1f} s",
                f"{live.stale_max_s:.1f} s",
            ]  # fmt: skip
        rest = ["", "", ""]
        if replay := one.replay:
            took = f"{replay.took_s:.0f} s for {replay.undisturbed_s:.0f} s"
            rest = [f"{replay.rows:,}", str(len(replay.wrong)), took]
        table.add_row(one.name, *cells, *rest)
    return table


def _in_words(outcome: Outcome) -> str:
    if outcome.skipped:
        return f"skipped: {outcome.skipped}"
    if wrong := outcome.wrong():
        return f"FAILED: {wrong[0]}"
    told = [f"nothing lost, fresh again after {outcome.live.recovered_s} s"] if outcome.live else []
    if outcome.replay:
        told.append(f"{outcome.replay.rows:,} rows as undisturbed")
    return ", ".join(told)
