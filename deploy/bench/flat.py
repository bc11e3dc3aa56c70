"""Whether cost grows with a user's history, an item's popularity, or the age of the job.

Each group of events (`cohorts`) is sent at the same rate, a few times in turn. Its cost is the CPU
time of the TaskManagers, less what they take when nothing is sent, and the time in the stages.
What no amount of history or popularity should change is compared from where it is bounded:
users whose last items fill the pair window, items with more neighbours than are kept at hand.
Below that an event has less to do, which the short histories and the rare items show.
"""

import time
from collections.abc import Sequence

from deploy.bench.arithmetic import Cost, Third, busy, cost, ratio
from deploy.bench.bench import Bench
from deploy.bench.cohorts import (
    FULL,
    GROUPS,
    LONG,
    POPULAR,
    RARE,
    SHORT,
    Cohorts,
    Touch,
    surroundings,
)
from deploy.bench.measure import measure
from deploy.bench.report import Flat, Group

_IDLE_S = 15.0
COMPARED = {
    "long history over full": (LONG, FULL),
    "long history over short": (LONG, SHORT),
    "popular item over ordinary": (POPULAR, FULL),
    "popular item over rare": (POPULAR, RARE),
}
AGE = "last third of the job's time over the first"


def flat(bench: Bench) -> None:
    """Build histories and popularity, then measure the groups in turn and one long run."""
    shape = bench.options.shape
    cohorts = Cohorts(shape, bench.options.synthetic.seed)
    warmup = cohorts.warmup()
    bench.submit()
    bench.warm_up(len(warmup))
    idle = _idle(bench)
    costs: dict[str, list[Cost]] = {group: [] for group in GROUPS}
    for group, round_ in cohorts.phases():
        bench.tell(f"events of group `{group}`, round {round_ + 1} of {shape.rounds}")
        costs[group].append(measure(bench, shape.rate_per_s, shape.phase_s).cost)
    groups = [_group(name, costs[name], idle, cohorts, warmup, bench) for name in GROUPS]
    ratios = {
        name: _ratios(_named(groups, over), _named(groups, under))
        for name, (over, under) in COMPARED.items()
    }
    if shape.age_s:
        bench.report.measurement = measure(bench, shape.rate_per_s, shape.age_s)
        ratios[AGE] = age(bench.report.measurement.thirds)
    bench.report.flat = Flat(groups=groups, ratios=ratios, idle_cpu_per_s=idle)


def _idle(bench: Bench) -> float:
    """CPU seconds a second of the TaskManagers while nothing is sent."""
    bench.tell("watching the idle job")
    first = bench.take()
    time.sleep(_IDLE_S)
    last = bench.take()
    # For 1,000 events where there was "one" a second: seconds a thousand of them.
    found = cost(first, last, bench.cores, events=last.at_s - first.at_s)
    return found.taskmanager_cpu_s_per_1000 / 1000


def _group(
    name: str,
    costs: Sequence[Cost],
    idle: float,
    cohorts: Cohorts,
    warmup: Sequence[Touch],
    bench: Bench,
) -> Group:
    items = [touch.item for touch in cohorts.phase(name, 0)]
    neighbours, users = surroundings(warmup, items, bench.settings.history.pair_window)
    return group_of(name, costs, idle, cohorts.history(name), neighbours, users)


def group_of(
    name: str, costs: Sequence[Cost], idle: float, history: float, neighbours: float, users: float
) -> Group:
    """The mean of a group's phases, without the idle job's CPU."""
    events = sum(one.events for one in costs)
    cpu_s = sum(one.taskmanager_cpu_s_per_1000 * one.events / 1000 for one in costs)
    seconds = sum(one.seconds for one in costs)
    stages = [busy(one.stages) for one in costs]
    return Group(
        name=name,
        history=history,
        neighbours=neighbours,
        users_of_item=users,
        events=events,
        taskmanager_cpu_s_per_1000=1000 * max(0.0, cpu_s - idle * seconds) / events,
        busy_us_per_event={
            stage: sum(one.get(stage, 0.0) for one in stages) / len(stages)
            for stage in sorted({stage for one in stages for stage in one})
        },
        others_share=max(one.others_share for one in costs),
    )


def _named(groups: Sequence[Group], name: str) -> Group:
    return next(group for group in groups if group.name == name)


def _ratios(over: Group, under: Group) -> dict[str, float | None]:
    cpu = ratio(over.taskmanager_cpu_s_per_1000, under.taskmanager_cpu_s_per_1000)
    return {"cpu": cpu, **_busy_ratios(over.busy_us_per_event, under.busy_us_per_event)}


def age(parts: Sequence[Third]) -> dict[str, float | None]:
    """The last third over the first; empty if there are none."""
    if not parts:
        return {}
    first, last = parts[0], parts[-1]
    cpu = ratio(last.taskmanager_cpu_s_per_1000, first.taskmanager_cpu_s_per_1000)
    return {"cpu": cpu, **_busy_ratios(last.busy_us_per_event, first.busy_us_per_event)}


def _busy_ratios(over: dict[str, float], under: dict[str, float]) -> dict[str, float | None]:
    stages = sorted(over.keys() & under.keys())
    whole = ratio(sum(over[name] for name in stages), sum(under[name] for name in stages))
    return {"busy": whole, **{name: ratio(over[name], under[name]) for name in stages}}
