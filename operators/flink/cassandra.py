"""What the Cassandra sink does: writes rows, and returns when everything is written.

No checkpoint barrier passes meanwhile, so what a checkpoint counts as done is in Cassandra; a
failure sends the job back to its last checkpoint, and all is written again. That is harmless: every
write carries the event's time, and the newest wins (prepared statements, idempotent, one frozen
cell a list).
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from operators.rows import STATEMENTS, Row, RowSettings, Write, writes_of

RECONNECT_S = 1.0
E = TypeVar("E")
AT_ONCE = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
"""The driver sends a request in pieces of 4 kB. By default the kernel keeps the last of them back
until the others are acknowledged, which a node does 40 ms later: each batch of lists took that."""

PROTOCOL = 4
"""Version 5 adds checksums of its own to those of TCP and TLS: 205 instead of 187 us of CPU a row
in the sink's process, 287 instead of 279 in the node. What is written is the same in both."""

CELL_BYTES, ROW_BYTES = 20, 40
"""What Cassandra counts of a batch beside its values, before it refuses it: times of each cell, and
of the row. A catalogue's rows of a few words come to more than twice their values."""

ON_PURPOSE = ("Server warning: Unlogged batch covering", "Server warning: Batch for")
"""How the warnings begin that a node sends with its answer to each larger batch, at its defaults:
dozens of lines a second in a worker's log about what is meant to be so."""

CONNECT_S = 120.0
"""How long a sink waits for Cassandra when it starts: a start that fails costs far more."""


class SinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how rows are written; see `jobs.settings.Cassandra`."""

    hosts: Sequence[str]
    port: int
    datacenter: str
    keyspace: str
    user: str
    password: str | None
    consistency: str
    concurrency: int
    batch_bytes: int
    timeout_s: float
    attempts: int
    rows: RowSettings
    password_file: str = ""
    tls_ca: str = ""


class WriteFailedError(Exception):
    """Some writes failed in all attempts; the sink fails with them."""


class Writer:
    """Writes rows with a bounded number of attempts.

    Args:
        settings: Of the sink.
        execute: Runs writes and returns those that failed with their errors.
        pause: Sleeps for seconds.
    """

    def __init__(self, settings: SinkSettings, execute: Any, pause: Any = time.sleep) -> None:
        self._settings = settings
        self._execute = execute
        self._pause = pause
        self.retries = 0

    def write(self, rows: Iterable[Row]) -> int:
        """Write the newest row of each key; the number of rows written.

        Raises:
            WriteFailedError: Some failed in every attempt.
        """
        newest: dict[tuple[type, str, str, str], Row] = {}
        for row in rows:
            key = (type(row), row.tenant, _name(row), getattr(row, "surface", ""))
            if key not in newest or row.written_us >= newest[key].written_us:
                newest[key] = row
        left = [one for row in newest.values() for one in writes_of(row, self._settings.rows)]
        tries = Retrying(
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
            sleep=self._pause,
            reraise=True,
        )
        for attempt in tries:
            with attempt:
                self.retries += len(left) * (attempt.retry_state.attempt_number > 1)
                left, error = self._execute(left)
                if left:
                    raise WriteFailedError(self._failure(left, error)) from error
        return len(newest)

    def _failure(self, left: Sequence[Write], error: Exception | None) -> str:
        where = f"{', '.join(self._settings.hosts)}:{self._settings.port}"
        return (
            f"{len(left)} writes to Cassandra at {where} failed {self._settings.attempts} times, "
            f"at last with {error!r}; the job goes back to its last checkpoint and tries again"
        )


def _name(row: Row) -> str:
    for field in ("user", "item", "segment"):
        if hasattr(row, field):
            return str(getattr(row, field))
    msg = f"{type(row).__name__} names neither user, item nor segment"
    raise TypeError(msg)


def is_news(record: logging.LogRecord) -> bool:
    """Whether what the driver logs is anything else than a warning of what is done on purpose."""
    return not record.getMessage().startswith(ON_PURPOSE)


def connect(settings: SinkSettings) -> Any:
    """A Cassandra session for this sink; the driver reconnects by itself."""
    from cassandra import ConsistencyLevel
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import (
        ConstantReconnectionPolicy,
        DCAwareRoundRobinPolicy,
        TokenAwarePolicy,
    )

    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(
            DCAwareRoundRobinPolicy(local_dc=settings.datacenter)
        ),
        consistency_level=getattr(ConsistencyLevel, settings.consistency),
        request_timeout=settings.timeout_s,
    )
    auth = PlainTextAuthProvider(settings.user, _password(settings)) if settings.user else None
    tls = ssl.create_default_context(cafile=settings.tls_ca) if settings.tls_ca else None
    cluster = Cluster(
        list(settings.hosts), port=settings.port, protocol_version=PROTOCOL, auth_provider=auth,
        ssl_context=tls,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile}, compression=False,
        # The driver's own waits grow to ten minutes: too long once a node is back.
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, None),
        # The driver's two seconds are too short for a node that has just started.
        connect_timeout=settings.timeout_s, control_connection_timeout=settings.timeout_s,
        sockopts=AT_ONCE,
    )  # fmt: skip
    logging.getLogger("cassandra.protocol").addFilter(is_news)
    return cluster.connect()


def batch_bytes_of(values: Iterable[bytes | None]) -> int:
    """What a row of these values counts for in Cassandra's limits of a batch, a little more."""
    return sum(len(value or b"") + CELL_BYTES for value in values) + ROW_BYTES


def _password(settings: SinkSettings) -> str:
    """What the file holds, read here: it does not travel with the job."""
    if settings.password_file:
        return Path(settings.password_file).read_text("utf-8").strip()
    return settings.password or ""


class CassandraExecutor:
    """Runs writes on a session, many at once, and waits for all of them.

    Writes for the same replicas go together, as unlogged batches of at most `batch_bytes`: the
    coordinator is one of the replicas, so nothing is forwarded, and both sides handle one message
    instead of several (a third of the driver's time, four fifths of the server's).
    """

    def __init__(self, session: Any, settings: SinkSettings) -> None:
        from cassandra.query import BoundStatement

        self._session = session
        self._settings = settings
        self._bound = BoundStatement
        self._tokens = session.cluster.metadata.token_map
        self._prepared = {}
        for name, cql in STATEMENTS.items():
            statement = session.prepare(cql.format(keyspace=settings.keyspace))
            statement.is_idempotent = True
            self._prepared[name] = statement

    def __call__(self, writes: Sequence[Write]) -> tuple[list[Write], Exception | None]:
        from cassandra.concurrent import execute_concurrent

        groups = list(self._groups(writes))
        results = execute_concurrent(
            self._session,
            [(self._request(group), None) for group in groups],
            concurrency=self._settings.concurrency,
            raise_on_first_error=False,
        )
        failed = [
            write
            for group, (ok, _) in zip(groups, results, strict=True)
            if not ok
            for write, _ in group
        ]
        return failed, next((result for ok, result in results if not ok), None)

    def _groups(self, writes: Sequence[Write]) -> Iterator[list[tuple[Write, Any]]]:
        """Writes with their statements, together as they go out."""
        open_groups: dict[Any, tuple[list[tuple[Write, Any]], int]] = {}
        for write in writes:
            bound = self._bound(self._prepared[write.statement])
            bound.values = write.values
            size = batch_bytes_of(write.values)
            replicas = self._replicas(bound)
            group, total = open_groups.get(replicas, ([], 0))
            if group and total + size > self._settings.batch_bytes:
                yield group
                group, total = [], 0
            group.append((write, bound))
            open_groups[replicas] = (group, total + size)
        yield from (group for group, _ in open_groups.values())

    def _replicas(self, bound: Any) -> Any:
        if self._tokens is None:
            return None
        hosts = self._tokens.get_replicas(
            self._settings.keyspace, self._tokens.token_class.from_key(bound.routing_key)
        )
        return tuple(hosts)

    def _request(self, group: Sequence[tuple[Write, Any]]) -> Any:
        from cassandra.query import BatchStatement, BatchType

        if len(group) == 1:
            return group[0][1]
        batch = BatchStatement(batch_type=BatchType.UNLOGGED)
        batch.is_idempotent = True
        for _, bound in group:
            batch.add(bound)
        return batch


def patiently(make: Callable[[], E], pause: Any = time.sleep) -> E:
    """What opens a session, once it can: waits for a Cassandra that is away or busy.

    Raises:
        Exception: The driver's, if it does not come, does not let the sink in or lacks the tables.
    """
    tries = Retrying(
        stop=stop_after_delay(CONNECT_S), wait=wait_exponential_jitter(multiplier=0.5, max=5.0),
        retry=retry_if_exception(_may_pass), sleep=pause, reraise=True,
    )  # fmt: skip
    return tries(make)


def _may_pass(error: BaseException) -> bool:
    """Whether an error is one of a Cassandra that is away or busy, and not of the settings."""
    from cassandra import AuthenticationFailed, OperationTimedOut, Unavailable
    from cassandra.cluster import NoHostAvailable

    if isinstance(error, NoHostAvailable):
        causes = error.errors.values() if isinstance(error.errors, dict) else []
        return not any(isinstance(one, AuthenticationFailed | ssl.SSLError) for one in causes)
    return isinstance(error, OperationTimedOut | Unavailable)
