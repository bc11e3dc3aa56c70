"""Where jobs and readers find Kafka and Cassandra."""

from pathlib import Path

import pytest

from deploy.connections import plan, settings_file
from deploy.errors import HeadwaterError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HEADWATER_CONFIG", "HEADWATER_STACK_KAFKA_PORT", "HEADWATER_STACK_HOME"):
        monkeypatch.delenv(name, raising=False)


def write(text: str) -> Path:
    file = Path("h.toml")
    file.write_text(text)
    return file


def test_the_local_stack_is_the_default(monkeypatch):
    monkeypatch.setenv("HEADWATER_STACK_KAFKA_PORT", "19092")
    monkeypatch.setenv("HEADWATER_STACK_CASSANDRA_PORT", "19042")
    planned = plan()
    assert planned.settings.kafka.bootstrap == "127.0.0.1:19092"
    assert planned.settings.cassandra.port == 19042
    assert planned.arguments[:2] == ["--set", "kafka.bootstrap=127.0.0.1:19092"]
    assert "--config" not in planned.arguments


def test_what_the_file_says_of_kafka_and_cassandra_stands():
    file = write(
        "[stack]\nkafka_port = 19092\nkeyspace = 'mine'\n"
        "[recommend]\nwindow_ms = 50\n[recommend.kafka]\nbootstrap = 'k:1'\n"
        "[recommend.cassandra]\nhosts = ['c1', 'c2']\n"
    )
    planned = plan(file)
    assert planned.settings.kafka.bootstrap == "k:1"
    assert planned.settings.cassandra.hosts == ["c1", "c2"]
    assert planned.settings.cassandra.port == 9042
    assert planned.settings.cassandra.keyspace == "mine"
    assert planned.settings.window_ms == 50
    assert planned.arguments == ["--config", "h.toml", "--set", "cassandra.keyspace=mine"]


def test_an_override_wins_over_all_and_comes_last():
    file = write("[recommend]\nwindow_ms = 50\n")
    planned = plan(file, ["window_ms=70", "kafka.bootstrap=other:9"])
    assert planned.settings.window_ms == 70
    assert planned.settings.kafka.bootstrap == "other:9"
    assert planned.arguments[-4:] == ["--set", "window_ms=70", "--set", "kafka.bootstrap=other:9"]


def test_the_arguments_lead_the_job_to_the_same_settings():
    from jobs.settings import Recommend, load

    planned = plan(write("[recommend]\nbuckets = 32\n"), ["clock=replay"])
    sets = [planned.arguments[n + 1] for n, a in enumerate(planned.arguments) if a == "--set"]
    assert load(Recommend, Path("h.toml"), sets) == planned.settings


def test_a_wrong_key_in_the_file_is_told():
    with pytest.raises(HeadwaterError, match="did you mean `clock`"):
        plan(write("[recommend]\nclok = 'live'\n"))


def test_a_wrong_override_is_told():
    with pytest.raises(HeadwaterError, match="clock"):
        plan(None, ["clock=now"])


def test_the_file_is_the_given_one_then_the_environments_then_the_folders(monkeypatch):
    assert settings_file(None) is None
    Path("headwater.toml").write_text("")
    assert settings_file(None) == Path("headwater.toml")
    monkeypatch.setenv("HEADWATER_CONFIG", "e.toml")
    assert settings_file(None) == Path("e.toml")
    assert settings_file(Path("g.toml")) == Path("g.toml")
