"""The parser as Flink sees it: micro-batches of records in, packed messages and dead letters out.

It runs where the stages run. As a pandas function it had a process of Flink's own, six seconds of
CPU to start and 200 MB, where each bundle costs 10 ms whatever is in it and a record waits for the
end of one: lists of 150 events a second were .30 instead of .26 s old (median), and a backlog of
100,000 events took 64 instead of 51 to 60 s from its first row to its last.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext

from operators.events import REJECTION_KINDS, Rejected
from operators.flink import cores
from operators.flink.clock import wall_clock_ms
from operators.flink.collecting import collect_seldom
from operators.flink.payload import pack
from operators.framing import CHARSET, Framed, framed
from operators.parsing import Parse

PARSED_TYPE = Types.ROW_NAMED(
    ["bucket", "payload", "raw", "partition", "offset", "reason", "seen_at"],
    [Types.INT(), Types.STRING(), Types.STRING(), Types.INT(), Types.LONG(), Types.STRING(),
     Types.LONG()],
)  # fmt: skip
"""The messages of a bucket; or a record that is refused, and why: its bytes, one character each."""

TOO_LATE = "the event is late: its time lies before the watermark, windows up to it are closed"


class ParseRecords(KeyedProcessFunction):
    """Parses micro-batches (partition, text), a record at a time: a bad one hurts no other.

    Args:
        parse: Makes a message of a record.
        clock: Wall clock in milliseconds.
    """

    def __init__(self, parse: Parse, clock: Callable[[], int] = wall_clock_ms) -> None:
        self._parse, self._clock = parse, clock

    def open(self, runtime_context: RuntimeContext) -> None:
        cores.OF_PROCESS.keep()
        collect_seldom()
        group = runtime_context.get_metrics_group().add_group("stage", "parse")
        self._counters = {name: group.counter(name) for name in ("records", "late")}
        for kind in REJECTION_KINDS:
            self._counters[kind] = group.add_group("reason", kind).counter("dead_letters")

    def close(self) -> None:
        cores.OF_PROCESS.leave()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        now_ms, counts = self._clock(), defaultdict[str, int](int)
        messages: dict[int, list[Any]] = defaultdict(list)
        for record in framed(value[1]):
            counts["records"] += 1
            found = self._parse(record, now_ms)
            if isinstance(found, Rejected):
                counts[found.kind] += 1
                yield _refused(record, found.reason)
            elif record.late:
                yield _refused(record, TOO_LATE)
            elif found is not None:
                messages[found.bucket].append(found.message)
                if found.delayed:
                    counts["late"] += 1
        for name, increase in counts.items():
            self._counters[name].inc(increase)
        for bucket, some in messages.items():
            yield Row(bucket, pack(some), None, None, None, None, None)


def _refused(record: Framed, reason: str) -> Row:
    raw = None if record.value is None else record.value.decode(CHARSET)
    return Row(0, None, raw, record.partition, record.offset, reason, record.arrived_ms)
