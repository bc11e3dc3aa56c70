"""The path on a stack with TLS, passwords and roles; who is not let in; what logs do not say."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from typer.testing import CliRunner

from deploy import preflight
from deploy.cli import app
from deploy.connections import plan
from deploy.errors import HeadwaterError
from deploy.preflight import check_cassandra, check_kafka
from deploy.serving.store import opened
from deploy.stack import Stack, processes, schema, secrets
from deploy.stack.errors import ServiceError
from deploy.stack.java import find_java
from tests.running import all_members, pids, table_names
from tests.stack.own_settings import written
from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.apart]

USERS = [f"secret-reader-{n}" for n in range(8)]
ITEMS = [f"book-{n}" for n in range(60)]
EVERYTHING = ["kafka", "cassandra", "jobmanager", "taskmanager-1"]
change = msgspec.structs.replace


@pytest.fixture(scope="module")
def secure(new_stack: Callable[..., Stack]) -> Stack:
    made = new_stack(event_partitions=2)
    assert made.up(secure=True) == EVERYTHING
    return made


@pytest.fixture
def config(secure: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    settings = {"recommend.kafka": {"redact": "drop"}}
    with written(secure, tmp_path, monkeypatch, settings, jobs=()) as file:
        yield file


def client(stack: Stack, role: str) -> dict[str, Any]:
    access = secrets.kafka_client(stack.layout, role)
    return {"bootstrap.servers": stack.kafka_bootstrap, "log_level": 0, **access}


def produced(stack: Stack, role: str, topic: str, *values: bytes) -> list[int]:
    """Codes of the records that Kafka refused."""
    refused: list[int] = []
    sender = Producer(client(stack, role))
    for value in values:
        sender.produce(topic, value, on_delivery=lambda e, _: e and refused.append(e.code()))
    assert sender.flush(30) == 0
    return refused


def event(number: int) -> bytes:
    # By chance: users who have met all there is have nothing left to be shown.
    user, item = USERS[number % len(USERS)], random.Random(number).choice(ITEMS)
    return json.dumps({
        "kind": "interaction", "event_id": f"e{number}", "user_id": user, "item_id": item,
        "action": "like", "event_time": time.time_ns() // 1_000_000,
    }).encode()  # fmt: skip


def letters(stack: Stack, count: int) -> list[dict[str, Any]]:
    """That many dead letters, of all partitions, or those there are after half a minute."""
    reader = Consumer({**client(stack, "operator"), "group.id": "headwater-letters"})
    topic = reader.list_topics("headwater.dead-letters", 10).topics["headwater.dead-letters"]
    reader.assign([TopicPartition(topic.topic, number, 0) for number in topic.partitions])
    found = reader.consume(count, timeout=30)
    reader.close()
    return [json.loads(one.value()) for one in found if one.error() is None]


def other_authority(stack: Stack, folder: Path) -> str:
    """A certificate that nobody of the stack signed."""
    other = stack.layout._replace(home=folder)
    secrets.make(other, find_java(None))
    return str(other.secrets / "ca.pem")


def test_who_is_not_let_in_is_told_which_setting_to_look_at(
    secure: Stack, config: Path, tmp_path: Path
) -> None:
    settings = plan(config).settings
    kafka, cassandra = settings.kafka, settings.cassandra
    preflight.check(plan(config))
    stranger = tmp_path / "stranger"
    stranger.write_text("guessed")
    authority = other_authority(secure, tmp_path / "other")
    for changes, told in (
        ({"password_file": str(stranger)}, r"recommend.*kafka\.password_file"),
        ({"tls_ca": authority}, r"not signed by kafka\.tls_ca"),
        ({"tls_ca": str(tmp_path / "none")}, r"kafka\.tls_ca names .*none"),
    ):
        with pytest.raises(HeadwaterError, match=told):
            check_kafka(change(kafka, **changes), [kafka.events])
    with pytest.raises(HeadwaterError, match=r"no topic headwater\.perhaps"):
        check_kafka(kafka, ["headwater.perhaps"])
    for changes, told in (
        ({"password_file": str(stranger)}, r"recommend.*cassandra\.password_file"),
        ({"tls_ca": authority}, r"not signed by cassandra\.tls_ca"),
        ({"user": ""}, "anybody without a role"),
        ({"keyspace": "perhaps"}, r"older than this program, or not there"),
    ):
        with pytest.raises(HeadwaterError, match=told):
            check_cassandra(change(cassandra, **changes))


def test_a_wrong_setting_ends_a_submission_before_anything_is_done(
    secure: Stack, config: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text("guessed")
    setting = f"cassandra.password_file={stranger}"
    result = CliRunner().invoke(app, ["submit", "recommend", "--set", setting])
    assert result.exit_code != 0
    assert "cassandra.password_file" in str(result.exception)


def test_topics_and_tables_are_provisioned_by_whoever_may(
    secure: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = secrets.login(secure.layout, secrets.ADMIN)
    assert admin is not None
    way_in = ["--tls-ca", str(admin.tls_ca), "--kafka", secure.kafka_bootstrap]
    way_in += [
        "--kafka-user",
        secrets.ADMIN,
        "--kafka-mechanism",
        "PLAIN",
        "--cassandra",
        f"127.0.0.1:{secure.cassandra_port}",
    ]
    way_in += ["--cassandra-user", secrets.ADMIN]
    for service in ("KAFKA", "CASSANDRA"):
        monkeypatch.setenv(f"HEADWATER_{service}_PASSWORD", admin.password)
    result = CliRunner().invoke(app, ["provision", *way_in])
    assert result.exit_code == 0, result.output
    assert "0 of them new" in result.output
    assert admin.password not in result.output
    for service in ("CASSANDRA", "KAFKA"):
        monkeypatch.setenv(f"HEADWATER_{service}_PASSWORD", "guessed")
        result = CliRunner().invoke(app, ["provision", *way_in])
        assert result.exit_code != 0
        assert "does not let admin in" in str(result.exception)


def test_a_role_may_do_its_work_and_no_other(secure: Stack) -> None:
    denied = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produced(secure, "site", "headwater.events", b"{}") == []
    assert produced(secure, "recommend", "headwater.events", b"{}") == [denied]
    assert produced(secure, "site", "headwater.dead-letters", b"{}") == [denied]
    from cassandra import Unauthorized

    row = "INSERT INTO headwater.trending (tenant, segment) VALUES ('t', 's')"
    look = "SELECT * FROM headwater.trending"
    for role, allowed, refused in (("reader", look, row), ("recommend", row, look)):
        login = secrets.login(secure.layout, role)
        with schema.session_of(login, secure.cassandra_hosts, secure.cassandra_port) as session:
            session.execute(allowed)
            with pytest.raises(Unauthorized):
                session.execute(refused)


def test_the_path_works_and_neither_secrets_nor_users_are_in_the_logs(
    secure: Stack, config: Path
) -> None:
    result = CliRunner().invoke(app, ["submit", "recommend", "--verbose"])
    assert result.exit_code == 0, f"{result.output}{result.exception}"
    passwords = [file.read_text() for file in secure.layout.secrets.glob("*.password")]
    assert not [one for one in passwords if one in result.output]
    bad = b'{"kind": "interaction", "user_id": "secret-reader-1", "action": "whispered-of"}'
    assert produced(secure, "site", "headwater.events", bad, *map(event, range(400))) == []
    with opened(plan(config).cassandra) as store:

        def personal() -> bool:
            rows = [store.user_list("default", user, "home") for user in USERS]
            return all(row is not None and row.stored.fallback is None for row in rows)

        wait_for(personal, "a list of everybody's own")
        # The other one is of a record of nothing, from the test of the roles.
        found = letters(secure, 2)
        assert {letter["raw"] for letter in found} == {None}
        (reason,) = [one["reason"] for one in found if "`kind`" not in one["reason"]]
        assert "an action is one of" in reason
        assert "whispered" not in reason
        erased = CliRunner().invoke(app, ["erase", USERS[0], "--wait"])
        assert erased.exit_code == 0, f"{erased.output}{erased.exception}"
        assert not store.knows("default", USERS[0])
    logs = [file for file in (secure.layout.home / "logs").rglob("*") if file.is_file()]
    texts = [file.read_text("utf-8", errors="replace") for file in logs]
    assert len(texts) > 4
    told = [
        one for one in [*passwords, "secret-reader", "whispered"] for text in texts if one in text
    ]
    assert told == []


def test_secrets_are_for_their_owner_alone_and_a_stack_stays_what_it_was_made(
    secure: Stack, new_stack: Callable[..., Stack]
) -> None:
    folder = secure.layout.secrets
    assert folder.stat().st_mode & 0o077 == 0
    for file in [*folder.glob("*.password"), secure.layout.conf / "server.properties"]:
        assert file.stat().st_mode & 0o077 == 0, file
    assert not (folder / "authority.p12").exists()
    plain = new_stack()
    (plain.layout.data / "kafka").mkdir(parents=True)
    with pytest.raises(ServiceError, match="stack without passwords"):
        plain.up(secure=True)


def test_a_stack_lives_through_up_kill_up_and_down(secure: Stack) -> None:
    admin = secrets.login(secure.layout, secrets.ADMIN)
    way_in = secure.cassandra_hosts, secure.cassandra_port
    before = pids(secure)
    with schema.session_of(admin, *way_in) as session:
        assert len(table_names(session)) == 5
        session.execute("INSERT INTO headwater.trending (tenant, segment) VALUES ('kept', 'all')")

    assert secure.up() == []
    assert pids(secure) == before

    secure.kill("cassandra")
    secure.kill("jobmanager")
    assert secure.up() == ["cassandra", "jobmanager"]
    after = pids(secure)
    assert {name for name in after if after[name] != before[name]} == {"cassandra", "jobmanager"}
    with schema.session_of(admin, *way_in) as session:
        look = "SELECT segment FROM headwater.trending WHERE tenant = 'kept' AND segment = 'all'"
        assert session.execute(look).one().segment == "all"

    running = all_members(secure)
    assert len(running) >= len(EVERYTHING)
    assert sorted(secure.down()) == sorted(EVERYTHING)
    assert [stat for stat in running if processes.read_stat(stat.pid)] == []
    assert {one.state for one in secure.status()} == {"stopped"}
    assert not secure.layout.tmp.exists()
