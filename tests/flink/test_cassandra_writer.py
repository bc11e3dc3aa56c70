"""The sink: the newest row of a key, retries of what failed, batches by replica."""

import logging
import re
import warnings
from types import SimpleNamespace

import msgspec
import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut
from cassandra.cluster import NoHostAvailable
from cassandra.query import BatchType, PreparedStatement

from jobs.recommend import sink_settings
from jobs.settings import CASSANDRA_PASSWORD, Recommend, SettingsError
from operators.flink import cassandra as sink
from operators.flink import writing
from operators.flink.cassandra import (
    CELL_BYTES,
    ROW_BYTES,
    CassandraExecutor,
    WriteFailedError,
    Writer,
    batch_bytes_of,
    is_news,
)
from operators.flink.payload import pack
from operators.flink.writing import Counts, RowsWriter
from operators.results import ForgetRow, ItemRow, ListRow, ProfileRow, SimilarRow, TrendingRow
from operators.rows import STATEMENTS, RowSettings, Write, writes_of

INITIAL = "The 'initial' parameter is deprecated"
pytestmark = pytest.mark.filterwarnings(f"ignore:{INITIAL}:DeprecationWarning")

SETTINGS = msgspec.structs.replace(
    sink_settings(Recommend()), hosts=["10.0.0.7", "10.0.0.8"], port=9043, attempts=4
)


def listed(user: str, at_us: int, tenant: str = "t", item: str = "i") -> ListRow:
    return ListRow(
        at_us, tenant, user, [item], bytes(4), bytes(4), b"\x00", b"\xff", [], 1, "", b""
    )


def profile(user: str, at_us: int) -> ProfileRow:
    return ProfileRow(at_us, "t", user, {}, [])


class Server:
    """Writes what it is given, except what it is told to lose, so many times."""

    def __init__(self, lose: int = 0, times: int = 0) -> None:
        self.calls: list[list[Write]] = []
        self.pauses: list[float] = []
        self.lose, self.times = lose, times

    def __call__(self, writes):
        self.calls.append(list(writes))
        if len(self.calls) > self.times:
            return [], None
        return list(writes)[: self.lose], OperationTimedOut(last_host="10.0.0.8")

    def writer(self, **changes) -> Writer:
        return Writer(msgspec.structs.replace(SETTINGS, **changes), self, self.pauses.append)


def expected(*rows) -> list[Write]:
    return [write for row in rows for write in writes_of(row, SETTINGS.rows)]


def test_each_row_is_written_once_in_its_order():
    server = Server()
    rows = [
        listed("u", 5),
        profile("u", 5),
        ForgetRow(6, "t", "v"),
        SimilarRow(7, "t", "i", "I", [], b""),
        TrendingRow(8, "t", "all", [], b"", b"", "x"),
        TrendingRow(8, "t", "1h", [], b"", b"", "x"),
        ItemRow(9, "t", "i", "I", True, False),
    ]
    assert server.writer().write(rows) == 7
    assert server.calls == [expected(*rows)]
    assert server.pauses == []


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([listed("u", 5), listed("u", 7, item="new"), listed("u", 6)], [1]),
        ([listed("u", 5), listed("u", 5, item="later")], [1]),
        ([listed("u", 5), listed("v", 4), listed("u", 3)], [0, 1]),
        ([listed("u", 5), listed("u", 6, tenant="other")], [0, 1]),
        ([listed("u", 5), profile("u", 6), ForgetRow(7, "t", "u")], [0, 1, 2]),
        ([ItemRow(5, "t", "i", "I", True, False), ItemRow(6, "t", "i", "i", False, True)], [1]),
        ([ItemRow(5, "t", "i", "I", True, False), SimilarRow(6, "t", "i", "I", [], b"")], [0, 1]),
    ],
)
def test_of_the_rows_of_one_key_the_newest_is_written(rows, kept):
    server = Server()
    assert server.writer().write(rows) == len(kept)
    assert server.calls == [expected(*(rows[place] for place in kept))]


def test_only_what_failed_is_tried_again():
    server = Server(lose=2, times=2)
    rows = [listed(f"u{n}", n) for n in range(5)]
    writer = server.writer()
    assert writer.write(rows) == 5
    assert server.calls == [expected(*rows), expected(*rows[:2]), expected(*rows[:2])]
    assert writer.retries == 4
    assert len(server.pauses) == 2
    assert all(0 < pause <= 5 + 1 for pause in server.pauses)


@pytest.mark.parametrize("attempts", [1, 4])
def test_after_the_last_attempt_the_error_says_where_and_why(attempts):
    server = Server(lose=3, times=99)
    writer = server.writer(attempts=attempts)
    with pytest.raises(WriteFailedError) as caught:
        writer.write([listed(f"u{n}", n) for n in range(5)])
    assert len(server.calls) == attempts
    assert len(server.pauses) == attempts - 1
    said = str(caught.value)
    assert f"3 writes to Cassandra at 10.0.0.7, 10.0.0.8:9043 failed {attempts} times" in said
    assert "OperationTimedOut" in said
    assert "last checkpoint" in said
    assert isinstance(caught.value.__cause__, OperationTimedOut)


def test_a_writer_goes_on_after_a_failure():
    server = Server(lose=9, times=4)
    writer = server.writer()
    with pytest.raises(WriteFailedError):
        writer.write([listed("u", 1)])
    assert writer.write([listed("u", 1)]) == 1


def test_a_write_calls_nothing_deprecated():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Server().writer().write([listed("u", 1)]) == 1


def test_no_rows_are_no_error():
    assert Server().writer().write([]) == 0


# --- the executor, on a session of dicts


class Session:
    """A session that answers at once; writes whose bytes hold b"bad" fail."""

    def __init__(self, replicas=None) -> None:
        self.sent: list = []
        tokens = replicas and SimpleNamespace(
            token_class=SimpleNamespace(from_key=lambda key: key),
            get_replicas=lambda keyspace, key: replicas(key),
        )
        self.cluster = SimpleNamespace(metadata=SimpleNamespace(token_map=tokens))

    def prepare(self, cql):
        names = re.findall(r"(TIMESTAMP|TTL|tenant|user_id|item_id|segment)", cql)
        first = names.index("tenant")
        prepared = PreparedStatement([], cql.encode(), [first, first + 1], cql, "k", 5, [], None)
        prepared.cql = cql
        return prepared

    def execute_async(self, statement, params, execution_profile=None):
        values = parts(statement)
        self.sent.append(statement)
        if any(b"bad" in (value or b"") for one in values for value in one):
            raise OperationTimedOut
        future = SimpleNamespace(clear_callbacks=lambda: None, _col_names=[], _col_types=[],
                                 has_more_pages=False)  # fmt: skip
        future.add_callbacks = lambda callback, callback_args, **_: callback([], *callback_args)
        return future


def parts(statement) -> list[list[bytes | None]]:
    """Values of each write of a request."""
    if hasattr(statement, "prepared_statement"):
        return [list(statement.values)]
    return [list(values) for _, _, values in statement._statements_and_parameters]


def executor(session: Session, **changes) -> CassandraExecutor:
    return CassandraExecutor(session, msgspec.structs.replace(SETTINGS, **changes))


def by_user(key: bytes) -> list[str]:
    return ["host-a"] if b"a" in key else ["host-b", "host-c"]


def test_writes_for_the_same_replicas_go_together_and_others_apart():
    session = Session(by_user)
    writes = expected(*(listed(f"{name}{n}", n) for n in range(3) for name in "ab"))
    assert executor(session)(writes) == ([], None)
    users = [{values[1][:1] for values in parts(one)} for one in session.sent]
    assert sorted(map(len, map(parts, session.sent))) == [3, 3]
    assert sorted(users, key=str) == [{b"a"}, {b"b"}]
    assert {one.batch_type for one in session.sent} == {BatchType.UNLOGGED}
    assert all(one.is_idempotent for one in session.sent)
    sent = [values for one in session.sent for values in parts(one)]
    assert sorted(map(str, sent)) == sorted(str(write.values) for write in writes)


def test_a_batch_holds_no_more_bytes_than_agreed():
    session = Session(by_user)
    writes = expected(*(listed(f"a{n}", n) for n in range(10)))
    size = batch_bytes_of(writes[0].values)
    executor(session, batch_bytes=3 * size)(writes)
    assert [len(parts(one)) for one in session.sent] == [3, 3, 3, 1]


def test_a_row_counts_for_more_than_its_values():
    values = [b"k" * 10, None, b""]
    assert batch_bytes_of(values) == 10 + 3 * CELL_BYTES + ROW_BYTES
    assert batch_bytes_of([]) == ROW_BYTES


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Unlogged batch covering 380 partitions detected against table [t].", False),
        ("Batch for [t] is of size 95315, exceeding specified threshold of 5120.", False),
        ("Aggregation query used without partition key", True),
    ],
)
def test_a_nodes_warnings_of_what_is_meant_to_be_so_are_not_logged(text, told):
    record = logging.LogRecord("p", logging.WARNING, "f", 1, "Server warning: %s", (text,), None)
    assert is_news(record) == told
    assert is_news(logging.LogRecord("p", logging.WARNING, "f", 1, "no arguments", None, None))


def test_without_batches_or_without_a_map_of_tokens_writes_still_go():
    writes = expected(*(listed(f"a{n}", n) for n in range(4)))
    alone = Session(by_user)
    assert executor(alone, batch_bytes=0)(writes) == ([], None)
    assert [len(parts(one)) for one in alone.sent] == [1] * 4
    assert all(one.is_idempotent for one in alone.sent)
    blind = Session()
    assert executor(blind)(writes) == ([], None)
    assert [values for one in blind.sent for values in parts(one)] == [w.values for w in writes]


def test_what_failed_is_named_with_all_that_went_with_it_and_the_error():
    session = Session(by_user)
    rows = [listed("a1", 1), listed("b1", 2), listed("a2", 3, item="bad"), listed("b2", 4)]
    failed, error = executor(session)(expected(*rows))
    assert failed == expected(rows[0], rows[2])
    assert isinstance(error, OperationTimedOut)


def test_every_statement_is_prepared_for_the_keyspace():
    session = Session()
    prepared = []
    session.prepare = lambda cql: prepared.append(cql) or SimpleNamespace()
    executor(session, keyspace="shop")
    assert prepared == [cql.format(keyspace="shop") for cql in STATEMENTS.values()]


# --- payloads


def test_a_payload_is_written_and_counted(monkeypatch):
    server, counts = Server(lose=1, times=1), Counts()
    monkeypatch.setattr(writing, "wall_clock_ms", lambda: 10_000)
    writer = RowsWriter(SETTINGS, server, counts, server.pauses.append)
    assert set(counts.take().values()) == {0}
    payload = [
        pack([listed("u", 9_990_000), listed("v", 9_000_000)]),
        pack([profile("u", 1)]), pack([listed("u", 9_995_000)]),
    ]  # fmt: skip
    writer.write(",".join(payload))
    newest = listed("u", 9_995_000), listed("v", 9_000_000), profile("u", 1)
    assert server.calls[0] == expected(*newest)
    told = counts.take()
    assert (told["rows"], told["lists"], told["retries"], told["listed_items"]) == (3, 3, 1, 1)
    assert told["freshness_ms_count"] == 3
    assert told["freshness_ms_sum_ms"] == 10 + 1000 + 5
    assert told["freshness_ms_le_50"] == 2
    writer.write(pack([profile("u", 2)]))
    told = counts.take()
    assert (told["rows"], told["lists"], told["listed_items"]) == (1, 0, 0)


def test_a_gauge_that_shrinks_is_told_as_less():
    counts, values = Counts(), iter([5, 3])
    counts.gauge("items", lambda: next(values))
    assert [counts.take()["items"], counts.take()["items"]] == [5, -2]


def test_the_sink_takes_its_settings_from_the_job_and_its_password_from_the_environment(
    monkeypatch,
):
    monkeypatch.setenv(CASSANDRA_PASSWORD, "hunter2")
    job = msgspec.convert(
        {"cassandra": {"hosts": ["a", "b"], "port": 1, "datacenter": "d", "keyspace": "k",
                       "user": "u", "consistency": "QUORUM", "concurrency": 2, "batch_bytes": 3,
                       "timeout_s": 4.5, "attempts": 6, "surface": "s", "variant": "v",
                       "ttl_s": 7},
         "weights": {"model": "m"}}, Recommend)  # fmt: skip
    made = msgspec.to_builtins(sink_settings(job))
    assert made == {
        "hosts": ["a", "b"], "port": 1, "datacenter": "d", "keyspace": "k", "user": "u",
        "password": "hunter2", "password_file": "", "tls_ca": "", "consistency": "QUORUM",
        "concurrency": 2, "batch_bytes": 3, "timeout_s": 4.5, "attempts": 6,
        "rows": msgspec.to_builtins(RowSettings(surface="s", model="m", variant="v", ttl_s=7)),
    }  # fmt: skip
    monkeypatch.delenv(CASSANDRA_PASSWORD)
    with pytest.raises(SettingsError, match=f"password_file .* or {CASSANDRA_PASSWORD}"):
        sink_settings(job)


def test_a_password_in_a_file_stays_where_the_job_runs(monkeypatch):
    monkeypatch.setenv(CASSANDRA_PASSWORD, "hunter2")
    job = msgspec.convert({"cassandra": {"user": "u", "password_file": "/run/p"}}, Recommend)
    made = sink_settings(job)
    assert made.password is None
    assert made.password_file == "/run/p"


AWAY = NoHostAvailable("none", {"10.0.0.7": OperationTimedOut()})
REFUSED = NoHostAvailable("none", {"10.0.0.7": AuthenticationFailed("no")})


def test_a_sink_that_starts_waits_for_a_cassandra_that_is_away_or_busy():
    answers, pauses = [AWAY, OperationTimedOut(), "session"], []

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert sink.patiently(make, pauses.append) == "session"
    assert len(pauses) == 2


@pytest.mark.parametrize("error", [REFUSED, InvalidRequest("no table"), ValueError("bug")])
def test_a_sink_does_not_wait_where_waiting_does_not_help(error):
    def make():
        raise error

    with pytest.raises(type(error)):
        sink.patiently(make, lambda _: pytest.fail("it waited"))
