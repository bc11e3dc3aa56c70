"""As `operators.flink.writing`, with a Cassandra that takes everything but the user `nobody`."""

import sys
from collections.abc import Sequence
from typing import Any

from cassandra import OperationTimedOut

from operators.flink import writing
from operators.flink.aside import serve
from operators.rows import Write


def execute(writes: Sequence[Write]) -> tuple[list[Write], Exception | None]:
    sys.stdout.write(f"{len(writes)} writes\n")
    bad = [write for write in writes if b"nobody" in write.values]
    return bad, OperationTimedOut() if bad else None


if __name__ == "__main__":
    nowhere: Any = writing
    nowhere.connect = lambda settings: None
    nowhere.CassandraExecutor = lambda session, settings: execute
    serve(writing.begin)
