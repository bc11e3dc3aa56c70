"""The one shell around every stage: text in, state, transition, text out.

A batch comes as one row for a bucket, its messages packed as `payload` says.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from pyflink.common import Row, RowKind, Types
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext

from operators.flink import cores
from operators.flink.collecting import collect_seldom
from operators.flink.compiled import provide
from operators.flink.gathering import Gathering
from operators.flink.meaning import open_kept
from operators.flink.metrics import TOLD_EVERY_MS, StageMetrics
from operators.flink.pacing import Pace
from operators.flink.payload import pack, unpack
from operators.flink.settling import Settling, settled_max
from operators.flink.state import (
    FlinkTable,
    Journal,
    open_due,
    open_journal,
    open_table,
    state_name,
)
from operators.meaning import Meaning
from operators.stage import BROADCAST, COUNT, Out, Stage, StructCodec, bucket_of, settle_nothing

PIECE_MESSAGES_MAX = 20_000
"""Messages in one row: an erasure of a heavy user must not become one row of many megabytes."""

RECORDS_MAX = 50
"""Records in one row: Flink copies all lines of a row once for each of them."""

RecordOf = Callable[[Any], tuple[str, str]]
"""Key and value of the record of a message, JSON."""

SINKS = frozenset({"rows", "outcomes", "strategy"})
"""Channels that leave the graph: no bucket awaits them."""

OUTPUT_TYPE = Types.ROW_NAMED(
    ["channel", "bucket", "payload"], [Types.STRING(), Types.INT(), Types.STRING()]
)

_JSON = msgspec.json.Encoder()


def record_lines(records: Iterable[tuple[str, str]]) -> str:
    r"""A line a record: its key as JSON, which has neither tab nor line break, a tab, its value.

    The key is first, so that the search for the tab is short. Made here and not by a function of
    its own behind the stage: that would take a second process of Python, or, in this one, hang:
    PEMJA is not re-entrant.

    >>> print(record_lines([("u\n1", '{"rank":1}')]).expandtabs(1))
    "u\n1" {"rank":1}
    """
    return "\n".join(f"{_JSON.encode(key).decode()}\t{value}" for key, value in records)


class _Row(Row):
    """A row as PyFlink makes it, but without a call of Python for each of its attributes."""

    _from_dict = False
    _row_kind = RowKind.INSERT

    def __init__(self, *values: Any) -> None:
        self.__dict__["_values"] = list(values)


class KeyedShell(KeyedProcessFunction):
    """Drives one stage over micro-batches of one bucket each.

    Args:
        make: Makes the stage, inside the worker: stages are not sent over the wire.
        buckets: Number of buckets, the same for all stages, fixed for the life of the state.
        meaning: Goes into the state names: settings that change what a number in the state means.
        cache_size: Decoded values kept a table and bucket, besides the changed ones.
        journal_batches: Batches of a bucket after which its changed values are stored.
        settle_ms: How often the stage is asked for what it holds back.
        settle_offset_ms: By processing time, how much later than others it is, see `settling`.
        event_time: Whether that is by event time or by processing time.
        hold_max_ms: By processing time, how long batches are gathered at the most, see `pacing`.
        whole: Stages that have all their state in bucket 0.
        records: By channel, what makes key and value of a message's record for a topic. Such a
            channel's rows hold `record_lines` and no packed messages.
    """

    def __init__(
        self,
        make: Callable[[], Stage[Any]],
        *,
        buckets: int,
        meaning: Meaning,
        cache_size: int,
        journal_batches: int,
        settle_ms: int,
        event_time: bool,
        hold_max_ms: int = 0,
        settle_offset_ms: int = 0,
        whole: Collection[str] = (),
        records: Mapping[str, RecordOf] | None = None,
    ) -> None:
        self._make = make
        self._records = dict(records or {})
        self._buckets = buckets
        self._meaning = meaning
        self._cache_size = cache_size
        self._journal_batches = journal_batches
        self._settle_ms, self._settle_offset_ms = settle_ms, settle_offset_ms
        self._event_time = event_time
        self._hold_max_ms = 0 if event_time else hold_max_ms
        self._telling = False
        self._whole = frozenset(whole)

    def open(self, runtime_context: RuntimeContext) -> None:
        cores.OF_PROCESS.keep()
        collect_seldom()
        provide()
        stage = self._stage = self._make()
        decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(
            list[stage.inputs]  # type: ignore[name-defined]
        )
        self._decode = partial(unpack, decoder)
        self._tables: dict[str, FlinkTable[Any]] = {
            table: open_table(
                runtime_context,
                state_name(stage.name, table, codec, self._meaning.digest),
                codec,
                self._cache_size,
            )
            for table, codec in stage.codecs.items()
        }
        self._state = stage.state_type(**self._tables)
        meaning = self._meaning.digest
        journal = state_name(stage.name, "journal", StructCodec(str), meaning)
        self._journal = open_journal(runtime_context, journal, self._journal_batches)
        due = state_name(stage.name, "due", StructCodec(str), meaning)
        self._due = open_due(runtime_context, f"settle-{due}")
        self._kept = open_kept(runtime_context, stage.name, self._meaning)
        self._settles = stage.settle is not settle_nothing
        self._settling = Settling(self._settle_ms, self._buckets, self._settle_offset_ms)
        self._metrics = StageMetrics(runtime_context, stage.name, self._tables.values())
        self._pace = Pace(self._hold_max_ms)
        self._gathering = Gathering(self._journal, self._decode, stage.order, self._settling)

    def close(self) -> None:
        cores.OF_PROCESS.leave()
        self._metrics.tell()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> list[Row]:
        bucket, payload = value[0], value[1]
        cores.OF_PROCESS.look()
        self._enter(bucket)
        rows: list[Row] = []
        if self._settles and self._event_time:
            rows += self._settle_first(bucket, ctx.timestamp())
        rows += self._take(bucket, payload, ctx)
        if self._settles and self._event_time:
            self._set_timer(bucket, ctx)
        elif self._settles:
            self._settling.worked(bucket, ctx.timer_service())
        if self._metrics.waiting and not self._event_time:
            self._tell_later(bucket, ctx)
        return rows

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> list[Row]:
        bucket = ctx.get_current_key()
        self._enter(bucket)
        if self._event_time:
            return self._settle_first(bucket, timestamp)
        rows: list[Row] = []
        settles = self._settling.is_period(bucket, timestamp)
        if self._gathering.is_due(bucket, timestamp) or (settles and self._gathering.waits(bucket)):
            rows += self._release(bucket)
        if due := self._settling.due(bucket, timestamp):
            rows += self._settle(bucket, ctx, idle=due == "idle")
        if not settles:
            self._telling = False
            self._metrics.tell()
        if self._settles:
            self._settling.begin(bucket, ctx.timer_service())
        return rows

    def _take(self, bucket: int, payload: str, ctx: KeyedProcessFunction.Context) -> list[Row]:
        """Work on a batch, or gather it with others while there is more than can be done."""
        started_ns, hold_ms = time.perf_counter_ns(), self._pace.hold_ms()
        batch, timers = self._decode(payload), ctx.timer_service()
        if hold_ms and not self._gathering.is_late(batch, timers.current_processing_time()):
            hold_ms = 0
        if not hold_ms and not self._gathering.waits(bucket):
            self._journal.note(bucket, payload)
            return self._answer(bucket, started_ns, len(batch), self._apply_batch(batch))
        due = self._gathering.add(bucket, payload, batch, hold_ms, timers)
        self._pace.worked(time.perf_counter_ns() - started_ns)
        if due:
            return self._release(bucket)
        self._metrics.count("held", 1)
        return []

    def _settle(
        self, bucket: int, ctx: KeyedProcessFunction.OnTimerContext, *, idle: bool
    ) -> list[Row]:
        """Live, some of what a bucket holds back; all else of an idle one that had no more rows."""
        rows = self._step(bucket, Journal.SETTLED_SOME)
        if rows:  # more may wait than was settled
            come = self._settling.soon if idle else self._settling.next
            come(bucket, ctx.timer_service())
        return rows if rows or not idle else self._step(bucket, Journal.SETTLED)

    def _settle_first(self, bucket: int, time_ms: int) -> list[Row]:
        """Settle a bucket whose time has come.

        A watermark that closes several windows at once brings all their batches before the timers
        between them: how far it jumps depends on speed and on restarts. So the batches themselves
        say when it is time, and the timer stands in where none comes.
        """
        due_ms = self._due.get(bucket)
        if due_ms is None or time_ms < due_ms:
            return []
        self._due.put(bucket, None)
        return self._step(bucket, Journal.SETTLED)

    def _enter(self, bucket: int) -> None:
        """Turn to a bucket, and after a restore to where it was."""
        self._kept.look(bucket)
        for table in self._tables.values():
            table.enter(bucket)
        for noted in self._journal.unread(bucket):
            self._apply(noted)

    def _release(self, bucket: int) -> list[Row]:
        """Work on what was gathered, as one batch."""
        started_ns = time.perf_counter_ns()
        batch = self._gathering.take(bucket)
        return self._answer(bucket, started_ns, len(batch), self._apply_batch(batch))

    def _step(self, bucket: int, noted: str) -> list[Row]:
        """Note a settlement and do it."""
        started_ns = time.perf_counter_ns()
        self._journal.note(bucket, noted)
        return self._answer(bucket, started_ns, *self._apply(noted))

    def _answer(
        self, bucket: int, started_ns: int, messages: int, outs: Sequence[Out]
    ) -> list[Row]:
        """Store the tables if it is time; rows of the answers."""
        if self._journal.full(bucket):
            for table in self._tables.values():
                table.store()
            self._journal.empty(bucket)
        rows = self._rows(bucket, outs)
        busy_ns = time.perf_counter_ns() - started_ns
        self._metrics.batch(messages, busy_ns)
        self._pace.worked(busy_ns)
        return rows

    def _apply(self, payload: str) -> tuple[int, list[Out]]:
        if payload in (Journal.SETTLED, Journal.SETTLED_SOME):
            some = payload == Journal.SETTLED_SOME
            return 0, self._stage.settle(self._state, settled_max(self._buckets) if some else None)
        batch = self._decode(payload)
        return len(batch), self._apply_batch(batch)

    def _apply_batch(self, batch: list[Any]) -> list[Out]:
        batch.sort(key=self._stage.order)
        return self._stage.apply(self._state, batch)

    def _set_timer(self, bucket: int, ctx: KeyedProcessFunction.Context) -> None:
        """In a replay, settle at the next multiple of `settle_ms`, unless that is arranged."""
        if self._due.get(bucket) is None:
            then_ms = (ctx.timestamp() // self._settle_ms + 1) * self._settle_ms
            self._due.put(bucket, then_ms)
            ctx.timer_service().register_event_time_timer(then_ms)

    def _tell_later(self, bucket: int, ctx: KeyedProcessFunction.Context) -> None:
        """Counts of the last batch of a burst must not wait for the next; at no time to settle."""
        if not self._telling:
            self._telling = True
            timers = ctx.timer_service()
            then_ms = timers.current_processing_time() + TOLD_EVERY_MS
            timers.register_processing_time_timer(self._settling.beside(bucket, then_ms))

    def _rows(self, bucket: int, outs: Sequence[Out]) -> list[Row]:
        """One row a channel and target bucket."""
        groups: dict[tuple[str, int], list[Any]] = defaultdict(list)
        buckets, whole = self._buckets, self._whole
        for out in outs:
            channel, key, message = out.to, out.key, out.message
            if channel == COUNT:
                self._metrics.count(key, message)
            elif channel in SINKS:
                groups[channel, bucket].append(message)
            elif channel in whole:
                groups[channel, 0].append(message)
            elif key == BROADCAST:
                for target in range(buckets):
                    groups[channel, target].append(message)
            else:
                groups[channel, bucket_of(key, buckets)].append(message)
        return [
            _Row(channel, target, self._text(channel, messages[start : start + size]))
            for (channel, target), messages in groups.items()
            for size in (RECORDS_MAX if channel in self._records else PIECE_MESSAGES_MAX,)
            for start in range(0, len(messages), size)
        ]

    def _text(self, channel: str, messages: Sequence[Any]) -> str:
        record_of = self._records.get(channel)
        return pack(messages) if record_of is None else record_lines(map(record_of, messages))
