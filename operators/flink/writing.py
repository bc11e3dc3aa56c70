"""The process beside a sink's worker that writes to Cassandra; run by `sink`, see `aside`."""

import logging

import msgspec

from operators.flink.aside import Answer, serve
from operators.flink.cassandra import (
    CassandraExecutor,
    Counts,
    RowsWriter,
    SinkSettings,
    connect,
    patiently,
)
from operators.flink.collecting import collect_seldom
from operators.flink.cores import stay_off


def begin(settings: bytes) -> tuple[bytes, Answer]:
    """Connect; what is counted, all at nothing, and what writes a payload."""
    stay_off()
    collect_seldom()
    sink = msgspec.msgpack.decode(settings, type=SinkSettings)
    executor = patiently(lambda: CassandraExecutor(connect(sink), sink))
    counts, encoder = Counts(), msgspec.msgpack.Encoder()
    writer = RowsWriter(sink, executor, counts)

    def write(payload: bytes) -> bytes:
        writer.write(payload.decode())
        return encoder.encode(counts.take())

    return encoder.encode(counts.take()), write


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    serve(begin)
