"""The stack on the real Kafka, Cassandra and Flink."""

import base64
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.cluster import Cluster
from deploy.stack import Stack, schema, topics
from deploy.stack.errors import ServiceError
from tests.running import all_members, pids, table_names

pytestmark = pytest.mark.stack

TEN_MB = 10 * 2**20


def topic_names(stack: Stack) -> set[str]:
    from confluent_kafka.admin import AdminClient

    found = AdminClient({"bootstrap.servers": stack.kafka_bootstrap}).list_topics(timeout=10)
    return set(found.topics)


@pytest.fixture
def session(stack: Stack) -> Iterator[Any]:
    with schema.connected(stack.cassandra_hosts, stack.cassandra_port) as connected:
        yield connected


def test_everything_but_the_metrics_listens_on_the_loopback_alone(stack: Stack) -> None:
    ours = {stat.pid for stat in all_members(stack)}
    open_to_all = set()
    for pid in ours:
        held = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                field = line.split()
                address, _, port = field[1].rpartition(":")
                loopback = address.endswith("0100007F") or address == "0" * 24 + "01000000"
                if field[3] == "0A" and f"socket:[{field[9]}]" in held and not loopback:
                    open_to_all.add(int(port, 16))
    assert open_to_all <= {stack.settings.metrics_port(name) for name in pids(stack)}


def test_metrics_are_served_where_the_settings_say(stack: Stack) -> None:
    from urllib.request import urlopen

    for name in ("jobmanager", "taskmanager-1"):
        with urlopen(f"http://127.0.0.1:{stack.settings.metrics_port(name)}/metrics") as answer:
            assert f"flink_{name.partition('-')[0]}_" in answer.read().decode()


def test_topics_have_the_settings_of_the_file_and_are_put_right_again(stack: Stack) -> None:
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    def limit() -> str:
        admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap})
        resource = ConfigResource(ResourceType.TOPIC, "headwater.dead-letters")
        (future,) = admin.describe_configs([resource]).values()
        return future.result(20)["max.message.bytes"].value

    wanted = topics.read_topics()
    assert limit() == "16777216"
    smaller = [
        topic._replace(config={"max.message.bytes": "1000"})
        for topic in wanted
        if topic.name == "headwater.dead-letters"
    ]
    assert topics.apply_topics(stack.kafka_bootstrap, smaller) == []
    assert limit() == "1000"
    warned: list[str] = []
    other = [wanted[0]._replace(partitions=9), *wanted[1:]]
    assert topics.apply_topics(stack.kafka_bootstrap, other, warn=warned.append) == []
    assert limit() == "16777216"
    assert "headwater.events has 4 partitions, topics.toml says 9" in warned[0]


def test_a_topic_that_kafka_refuses_is_named(stack: Stack) -> None:
    bad = topics.Topic("headwater.bad", 1, {"cleanup.policy": "perhaps"})
    with pytest.raises(ServiceError, match=r"topic headwater\.bad.*perhaps"):
        topics.apply_topics(stack.kafka_bootstrap, [bad])
    assert "headwater.bad" not in topic_names(stack)


def test_a_record_of_ten_megabytes_arrives_and_fits_as_a_dead_letter(stack: Stack) -> None:
    from confluent_kafka import Producer

    raw = random.Random(1).randbytes(TEN_MB)
    letter = json.dumps({"raw": base64.b64encode(raw).decode(), "reason": "too large"}).encode()
    errors: list[Any] = []
    producer = Producer(
        {"bootstrap.servers": stack.kafka_bootstrap, "message.max.bytes": 16 * 2**20}
    )
    for topic, value in (
        ("headwater.events", raw),
        ("headwater.items", raw),
        ("headwater.dead-letters", letter),
    ):
        producer.produce(topic, value, key=b"k", on_delivery=lambda e, _: e and errors.append(e))
    assert producer.flush(60) == 0
    assert errors == []


def test_the_schema_may_be_applied_again_and_refusals_are_quoted(session: Any) -> None:
    before = table_names(session)
    schema.apply_schema(session, schema.read_statements())
    assert table_names(session) == before
    assert before == {"recommendations", "similar_items", "trending", "profiles", "item_features"}
    with pytest.raises(ServiceError, match="Cassandra refused `CREATE NOTHING`"):
        schema.apply_schema(session, ["CREATE NOTHING"])


def test_the_schema_takes_other_names_and_lengths(session: Any) -> None:
    schema.apply_schema(session, schema.read_statements("other", 8))
    assert schema.vector_dimensions(session, "other") == 8
    assert schema.vector_dimensions(session, "headwater") == 384
    assert schema.vector_dimensions(session, "nowhere") is None
    session.execute("DROP KEYSPACE other")


def test_a_job_is_not_started_on_tables_or_topics_that_it_cannot_use(
    stack: Stack, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in schema.read_statements("older", 3):
        if "recommend" in statement or "KEYSPACE" in statement:
            session.execute(statement)
    session.execute("ALTER TABLE older.recommendations DROP seen")
    monkeypatch.setenv("HEADWATER_STACK_HOME", stack.settings.home)
    for name in ("kafka", "cassandra", "flink_rest"):
        port = str(getattr(stack.settings, f"{name}_port"))
        monkeypatch.setenv(f"HEADWATER_STACK_{name.upper()}_PORT", port)
    for setting, told in (
        ("cassandra.keyspace=older", r"(?s)older than this program.*seen.*cassandra\.keyspace"),
        ("kafka.items=nowhere", r"no topic nowhere.*settings of \[recommend\.kafka\]"),
    ):
        result = CliRunner().invoke(app, ["submit", "recommend", "--set", setting])
        assert result.exit_code != 0
        assert re.search(told, str(result.exception)), result.exception
    assert Cluster(stack.flink_rest_url).active("headwater-recommend") is None
    session.execute("DROP KEYSPACE older")


def test_a_stack_with_other_vectors_than_its_table_is_refused(stack: Stack) -> None:
    import msgspec

    other = Stack(msgspec.structs.replace(stack.settings, vector_dimensions=768))
    with pytest.raises(ServiceError, match=r"vectors of 384 numbers.*vector_dimensions is 768"):
        other.up()


def test_the_newest_event_wins_whatever_the_order_of_writes(session: Any) -> None:
    insert = session.prepare(
        "INSERT INTO headwater.recommendations (tenant, user_id, surface, items, generation)"
        " VALUES ('newest', 'u1', 'home', ?, ?) USING TIMESTAMP ? AND TTL 60"
    )
    item = ("i1", 1.5, 0.5, "co_occurrence", "i0", "since you read i0", 0.25)
    session.execute(insert, ([item], 2, 2_000_000))
    session.execute(insert, ([], 1, 1_000_000))
    row = session.execute(
        "SELECT items, generation FROM headwater.recommendations"
        " WHERE tenant = 'newest' AND user_id = 'u1'"
    ).one()
    assert row.generation == 2
    assert tuple(row.items[0]) == item


def test_vectors_written_all_at_once_are_all_found(session: Any) -> None:
    from cassandra.concurrent import execute_concurrent_with_args

    rng = random.Random(7)
    vectors = {f"i{n}": [rng.gauss(0, 1) for _ in range(384)] for n in range(300)}
    insert = session.prepare(
        "INSERT INTO headwater.item_features (tenant, item_id, vector) VALUES ('ann', ?, ?)"
    )
    results = execute_concurrent_with_args(session, insert, list(vectors.items()), concurrency=64)
    assert all(result.success for result in results)
    nearest = session.prepare(
        "SELECT item_id FROM headwater.item_features ORDER BY vector ANN OF ? LIMIT 1"
    )
    found = {name: session.execute(nearest, (v,)).one().item_id for name, v in vectors.items()}
    assert {name: name for name in vectors} == found
