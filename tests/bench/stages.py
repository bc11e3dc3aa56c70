"""Where an event's CPU time goes: every stage behind its shell, in one process, without Flink.

    python -m tests.bench.stages [--events N] [--rate N] [--source PLACE] [--profile STAGE]

The made-up population of `headwater bench`, or the events of a data set in their order, in windows
as long as those of a live job. The shells are those of a job, their state is of dicts, and rows
are made into the statements' parameters that a sink would bind. Prints CPU microseconds per event
and stage: what they would cost in a job, with nothing of Flink, Kafka and Cassandra around them.
"""

import argparse
import cProfile
import json
import pstats
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.bench.options import Synthetic
from deploy.bench.workload import (
    Listing,
    SourceWorkload,
    SyntheticWorkload,
    Workload,
    stamped,
)
from jobs.meaning import meaning
from jobs.settings import Recommend
from operators.admission import Admission
from operators.figures import Figures
from operators.flink.keyed import KeyedShell
from operators.flink.parsing import ParseRecords
from operators.framing import Framed, frame
from operators.history import History
from operators.neighbours import Neighbours
from operators.outcome_records import record_of
from operators.parsing import of_events, of_items
from operators.popular import Popular
from operators.ranking import Ranking
from tests.flink.fakes import FakeContext

Record = tuple[str | None, bytes]
"""Item id of a catalogue record or None, and its JSON."""

ORDER = ("admission", "figures", "popular", "history", "neighbours", "ranking")


def shells(settings: Recommend) -> dict[str, tuple[KeyedShell, FakeContext]]:
    """A shell a stage, open."""
    weights, learning = settings.weights, settings.learning
    makes = {
        "admission": partial(Admission, settings.admission, settings.strengths),
        "figures": partial(Figures, settings.figures),
        "popular": partial(Popular, settings.popular),
        "history": partial(History, settings.history, settings.buckets),
        "neighbours": partial(Neighbours, settings.neighbours),
        "ranking": partial(Ranking, settings.ranking, weights, learning),
    }
    made = {}
    for name in ORDER:
        context = FakeContext()
        shell = KeyedShell(
            makes[name], buckets=settings.buckets, meaning=meaning(settings),
            cache_size=settings.cache_entries, journal_batches=settings.journal_batches,
            settle_ms=settings.settle_ms, event_time=False,
            records={"outcomes": record_of} if name == "ranking" else None,
        )  # fmt: skip
        shell.open(context)
        made[name] = shell, context
    return made


class Run:
    """All stages; `window` moves one window through them and charges each its CPU time."""

    def __init__(self, settings: Recommend, profiled: str | None) -> None:
        self.settings = settings
        self.shells = shells(settings)
        limits = {"border": settings.border, "buckets": settings.buckets}
        self.parsers = {
            "admission": ParseRecords(partial(of_events, late_ms=2**60, **limits), lambda: 2**52),
            "figures": ParseRecords(partial(of_items, **limits), lambda: 2**52),
        }
        for parser in self.parsers.values():
            parser.open(FakeContext())
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.batches: dict[str, int] = defaultdict(int)
        self.bytes: dict[str, int] = defaultdict(int)
        self.rows: dict[str, int] = defaultdict(int)
        self.profile = cProfile.Profile(time.thread_time)
        self.profiled = profiled

    def window(self, records: list[Record], *, settles: bool) -> None:
        inbox: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        texts = {name: "".join(some) for name, some in _frames(records).items()}
        started = time.process_time()
        for name, text in texts.items():
            for row in self.parsers[name].process_element((0, text), None):
                bucket, payload = row[0], row[1]
                inbox[name][bucket].append(payload)
        self.cpu_s["parse"] += time.process_time() - started
        for name in ORDER:
            self._stage(name, inbox, settles=settles)

    def _stage(self, name: str, inbox: Any, *, settles: bool) -> None:
        shell, context = self.shells[name]
        if name == self.profiled:
            self.profile.enable()
        started = time.process_time()
        rows: list[Any] = []
        for bucket, payloads in sorted(inbox[name].items()):
            context.key = bucket
            rows += shell.process_element((bucket, ",".join(payloads)), context)
            self.batches[name] += 1
        if settles:
            for bucket in range(self.settings.buckets):
                context.key = bucket
                rows += shell.on_timer(0, context)
        self.cpu_s[name] += time.process_time() - started
        self.profile.disable()
        for channel, bucket, payload in (row._values for row in rows):
            inbox[channel][bucket].append(payload)
            self.bytes[f"{name} to {channel}"] += len(payload)
            self.rows[name] += 1


def _frames(records: list[Record]) -> dict[str, list[str]]:
    """Text of the records of a window, by the stage that they are for."""
    texts: dict[str, list[str]] = {"figures": [], "admission": []}
    for item, value in records:
        key = None if item is None else item.encode()
        name = "admission" if item is None else "figures"
        texts[name].append(frame(Framed(0, 0, 0, False, key, value)))
    return texts


def workload_of(options: argparse.Namespace) -> Workload:
    """The data set that was asked for, or else the population."""
    if options.source is not None:
        return SourceWorkload(options.source, "bench")
    population = Synthetic(users=options.users, items=options.items)
    return SyntheticWorkload(population, "bench", options.rate)


def windows(workload: Workload, rate: float, size: int) -> Iterator[list[Record]]:
    """So many events at a time, with the records of the items that come before or among them."""
    window: list[Record] = []
    number = 0
    for ready in workload.events():
        record = stamped(ready.body, 10**12 + int(1000 * number / rate))
        if isinstance(ready, Listing):
            window.append((ready.item, record))
            continue
        window.append((None, record))
        number += 1
        if number % size == 0:
            yield window
            window = []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--warmup", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=3000.0)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--source", type=Path, help="a data set instead of made-up users")
    parser.add_argument("--buckets", type=int, default=Recommend().buckets)
    parser.add_argument("--profile", choices=ORDER)
    options = parser.parse_args()
    settings = Recommend(buckets=options.buckets)
    size = max(1, int(options.rate * settings.batch_ms / 1000))
    source = windows(workload_of(options), options.rate, size)
    run = Run(settings, options.profile)
    for measured in (False, True):
        run.cpu_s.clear(), run.batches.clear(), run.bytes.clear(), run.rows.clear()
        run.profile = cProfile.Profile(time.thread_time)
        done, target = 0, options.events if measured else options.warmup
        for window in islice(source, -(-target // size)):
            run.window(window, settles=done // size % 100 == 99)
            done += size
    told = {name: round(1e6 * spent / done, 1) for name, spent in run.cpu_s.items()}
    print(json.dumps({
        "cpu_us_per_event": told | {"total": round(sum(told.values()), 1)},
        "events_per_batch": {n: round(done / c, 1) for n, c in run.batches.items()},
        "rows_per_event": {n: round(c / done, 2) for n, c in run.rows.items()},
        "bytes_per_event": {n: round(c / done) for n, c in run.bytes.items()},
    }, indent=2))  # fmt: skip
    if options.profile:
        pstats.Stats(run.profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
