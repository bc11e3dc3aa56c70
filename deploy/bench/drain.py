"""A backlog worked off at full speed: what the job can do when nothing holds it back.

The batches of a backlog are as large as the job makes them, so a user's several events in one
batch become one list; the cost of an event is lower than under a steady load of the same rate.
"""

import time
from collections.abc import Sequence

import numpy as np

from deploy.bench.arithmetic import Cost, Sample, cost, median_pass_ns
from deploy.bench.bench import HEALTH_S, Bench
from deploy.bench.counters import Snapshot
from deploy.bench.options import BenchError
from deploy.bench.report import Drain
from deploy.bench.sampling import Sampler

_SLICES = 20
_POLL_S = 0.05

Points = list[tuple[float, float]]


def drain(bench: Bench) -> None:
    """Fill the topic, start the job, and watch the rows come."""
    warmup, wanted = bench.options.warmup_events, bench.options.drain
    bench.catalogue()
    if bench.channel.item:  # those of a data set come among its events
        bench.mark()
    if warmup:
        bench.fill(warmup)
        bench.mark()
    bench.report.warmup_events = warmup
    for part in range(_SLICES):
        if size := wanted * (part + 1) // _SLICES - wanted * part // _SLICES:
            bench.fill(size)
            bench.mark()
    submitted_s = time.monotonic()
    bench.submit()
    with Sampler(bench.take, bench.options.sample_s) as sampler:
        points = _watch(bench)
        bench.rest()
        samples = sampler.finish()
    first_s = points[0][0]
    bench.report.drain = Drain(
        backlog=warmup + wanted,
        started_s=first_s - submitted_s,
        per_s=rate_after(points, warmup),
        progress=[(at_s - first_s, passed) for at_s, passed in points],
        cost=_cost(samples, points, warmup, bench.cores),
        load_1m=samples[0].usage.load_1m,
        pass_ns=median_pass_ns(samples[1:-1]),
    )


def _cost(samples: Sequence[Sample], points: Points, warmup: int, cores: int) -> Cost:
    """CPU behind the warm-up, for the rows that came meanwhile; stages from the beginning on.

    What Java and Python take to start is not the events'. The stages' counters cannot be cut the
    same way, since each stage is some thousands of events ahead of the next.
    """
    warm_s = next((at_s for at_s, passed in points if passed >= warmup), points[0][0])
    first = next((one for one in samples[:-1] if one.at_s >= warm_s), samples[0])
    total = points[-1][1]
    found = cost(first, samples[-1], cores, total - passed_at(points, first.at_s))
    zero = Sample(at_s=first.at_s, counters=Snapshot(), usage=first.usage)
    found.stages = cost(zero, samples[-1], cores, total).stages
    return found


def passed_at(points: Points, at_s: float) -> float:
    """Records that had passed by then, interpolated between points.

    >>> passed_at([(10.0, 0.0), (12.0, 100.0)], 11.5), passed_at([(10.0, 5.0)], 20.0)
    (75.0, 5.0)
    """
    times, counts = zip(*points, strict=True)
    return float(np.interp(at_s, times, counts))


def _watch(bench: Bench) -> Points:
    """Monotonic time of each new row that was looked for, and the records before it."""
    total = float(sum(bench.offsets.get()))
    points: Points = []
    deadline = time.monotonic() + bench.options.patience_s
    looked_s = 0.0
    while True:
        passed, complete = bench.progress.look()
        now_s = time.monotonic()
        if bench.progress.found and (not points or passed > points[-1][1]):
            points.append((now_s, passed))
            bench.tell("working off the backlog", passed, total)
        if now_s - looked_s > HEALTH_S:
            bench.require_healthy()
            looked_s = now_s
        if complete:
            return points
        if now_s > deadline:
            msg = f"rows of only {passed} of {total:.0f} records came; raise --patience"
            raise BenchError(msg)
        time.sleep(_POLL_S)


def rate_after(points: Points, records: float) -> float | None:
    """Records a second from when so many of them had passed to the last point, interpolated.

    Points come in leaps of whole batches: to begin at the first one behind would leave out a leap's
    time with its records, and take a third too much for the rate of a backlog of few batches.
    None where one look found them all: a short backlog can be one batch.

    >>> rate_after([(10.0, 0.0), (11.0, 50.0), (13.0, 250.0)], 150.0)
    100.0
    """
    times, counts = zip(*points, strict=True)
    begun_s, begun = np.interp(records, counts, times), max(records, counts[0])
    return float((counts[-1] - begun) / (times[-1] - begun_s)) if times[-1] > begun_s else None
