"""The highest rate that the system keeps up with: doubled until it does not, then bisected.

A rate is kept up with if, while it is held, the events that the job has not read do not become
more, and both the sink's histogram and the probes stay within the limit at the 99th percentile.
"""

from collections.abc import Callable, Sequence

from deploy.bench.bench import Bench
from deploy.bench.measure import measure
from deploy.bench.options import BenchOptions
from deploy.bench.report import Measurement, Search, Step

FIRST_PER_S = 1000.0
CLOSE = 1.1
"""The search ends when the lowest rate that failed is this close to the highest that held."""

_GROWTH_S = 0.5


def search(bench: Bench) -> None:
    """Warm up, then try rates."""
    bench.submit()
    bench.warm_up(bench.options.warmup_events)
    steps: list[Step] = []

    def holds(rate_per_s: float) -> bool:
        found = measure(bench, rate_per_s, bench.options.step_s)
        why = objections(found, bench.options)
        steps.append(Step(stable=not why, why=why, measurement=found))
        return not why

    bench.report.search = Search(per_s=highest(holds), steps=steps)


def highest(holds: Callable[[float], bool], first: float = FIRST_PER_S) -> float | None:
    """The highest rate that holds, within `CLOSE`; None if a sixteenth of the first does not.

    >>> highest(lambda rate: rate <= 5300)
    5000.0
    """
    good, bad = 0.0, 0.0
    rate = first
    while not (good and bad and bad / good <= CLOSE):
        if holds(rate):
            good = rate
        else:
            bad = rate
        if not good and bad <= first / 16:
            return None
        rate = 2 * good if not bad else bad / 2 if not good else (good + bad) / 2
    return good


def objections(found: Measurement, options: BenchOptions) -> str:
    """Why a rate is not kept up with, empty if it is."""
    assert found.offered_per_s is not None
    assert found.freshness is not None
    said = []
    growth = lag_growth(found.lag, found.throughput.seconds - found.throughput.caught_up_s)
    if growth > found.offered_per_s * _GROWTH_S:
        said.append(f"{growth:,.0f} more events unread in the last third than in the first")
    for name, latencies in (("sink", found.freshness.sink), ("probes", found.freshness.probes)):
        p99_ms = latencies.p99_ms
        if p99_ms is None or p99_ms > options.p99_limit_ms:
            said.append(f"p99 of {name} {p99_ms and round(p99_ms)} ms")
    if found.sent.late_p99_ms > options.p99_limit_ms / 2:
        said.append(f"the generator was {found.sent.late_p99_ms:.0f} ms late (p99)")
    return "; ".join(said)


def lag_growth(lag: Sequence[tuple[float, float]], seconds: float) -> float:
    """Mean of the unread events in the last third of the time, less that in the first third.

    >>> lag_growth([(0, 0), (5, 10), (10, 20), (15, 30), (30, 0)], 15)
    20.0
    """
    first = [pending for at_s, pending in lag if at_s <= seconds / 3]
    last = [pending for at_s, pending in lag if seconds * 2 / 3 <= at_s <= seconds]
    return sum(last) / len(last) - sum(first) / len(first) if first and last else 0.0
