"""The one shell around every stage: bytes in, state, transition, bytes out.

A batch comes as one row for a bucket: MessagePack lists in base64, joined by commas. Text because
that is what crosses from the JVM into an embedded Python in one piece: BYTES are converted byte by
byte, and arrays of text are not accepted at all by the DataStream bridge of PyFlink 2.3.
"""

import time
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from pyflink.common import Row, Types
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext

from operators.flink.metrics import StageMetrics
from operators.flink.state import FlinkTable, open_table, state_name
from operators.stage import BROADCAST, COUNT, Out, Stage, bucket_of

COALESCED = frozenset({"similar", "profile"})
"""Channels of which only the newest message of a key within a span has to be written."""

PIECE_MESSAGES_MAX = 20_000
"""Messages in one row: an erasure of a heavy user must not become one row of many megabytes."""

OUTPUT_TYPE = Types.ROW_NAMED(
    ["channel", "bucket", "name", "payload"],
    [Types.STRING(), Types.INT(), Types.STRING(), Types.STRING()],
)

_ENCODER = msgspec.msgpack.Encoder()


def pack(messages: Sequence[Any]) -> str:
    """A piece of a batch: base64 of a MessagePack list."""
    return b64encode(_ENCODER.encode(messages)).decode()


def unpack(decoder: msgspec.msgpack.Decoder[list[Any]], payload: str) -> list[Any]:
    """All messages of a payload: pieces joined by commas."""
    messages: list[Any] = []
    for piece in payload.split(","):
        messages += decoder.decode(b64decode(piece))
    return messages


class KeyedShell(KeyedProcessFunction):
    """Drives one stage over micro-batches of one bucket each.

    Args:
        make: Makes the stage, inside the worker: stages are not sent over the wire.
        buckets: Number of buckets, the same for all stages, fixed for the life of the state.
        meaning: Goes into the state names: settings that change what a number in the state means.
        cache_size: Decoded values kept a table and bucket.
    """

    def __init__(
        self, make: Callable[[], Stage[Any]], buckets: int, meaning: str, cache_size: int
    ) -> None:
        self._make = make
        self._buckets = buckets
        self._meaning = meaning
        self._cache_size = cache_size

    def open(self, runtime_context: RuntimeContext) -> None:
        stage = self._stage = self._make()
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(
            list[stage.inputs]  # type: ignore[name-defined]
        )
        self._tables: dict[str, FlinkTable[Any]] = {
            table: open_table(
                runtime_context,
                state_name(stage.name, table, codec, self._meaning),
                codec,
                self._cache_size,
            )
            for table, codec in stage.codecs.items()
        }
        self._state = stage.state_type(**self._tables)
        self._metrics = StageMetrics(runtime_context, stage.name)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        started_ns = time.perf_counter_ns()
        bucket = value[0]
        batch = unpack(self._decoder, value[1])
        batch.sort(key=self._stage.order)
        for table in self._tables.values():
            table.enter(bucket)
        outs = self._stage.apply(self._state, batch)
        for table in self._tables.values():
            table.flush()
        rows = self._rows(bucket, outs)
        self._metrics.batch(len(batch), time.perf_counter_ns() - started_ns)
        yield from rows

    def _rows(self, bucket: int, outs: Sequence[Out]) -> list[Row]:
        """One row a channel and target bucket; one a key on the coalesced channels."""
        groups: dict[tuple[str, int, str], list[Any]] = defaultdict(list)
        for channel, key, message in outs:
            if channel == COUNT:
                self._metrics.count(key, message)
            elif channel == "rows":
                groups[channel, bucket, ""].append(message)
            elif channel in COALESCED:
                groups[channel, bucket, key] = [message]
            elif key == BROADCAST:
                for target in range(self._buckets):
                    groups[channel, target, ""].append(message)
            else:
                groups[channel, bucket_of(key, self._buckets), ""].append(message)
        return [
            Row(channel, target, key, pack(messages[start : start + PIECE_MESSAGES_MAX]))
            for (channel, target, key), messages in groups.items()
            for start in range(0, len(messages), PIECE_MESSAGES_MAX)
        ]
