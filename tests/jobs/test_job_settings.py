"""Settings of the job: where they come from, what is refused and how, what they mean."""

import json
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from jobs.meaning import meaning
from jobs.settings import (
    CASSANDRA_PASSWORD,
    Learn,
    Recommend,
    SettingsError,
    effective,
    from_environment,
    load,
)
from jobs.understand_settings import Understand
from operators.errors import HeadwaterError
from operators.features import FEATURES
from operators.meaning import Meaning, changes


def refused(*overrides: str, path=None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(Recommend, path, overrides)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "headwater.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_without_a_file_all_settings_have_defaults():
    assert load(Recommend, None) == Recommend()


def test_a_file_sets_some_and_leaves_the_rest(file):
    path = file("""
        [recommend]
        clock = "replay"
        window_ms = 250
        [recommend.kafka]
        bootstrap = "k:1"
        [recommend.kafka.properties]
        "security.protocol" = "SSL"
        [recommend.cassandra]
        hosts = ["a", "b"]
        [recommend.weights]
        values = { c0 = 2, pop = 0.5 }
        [stack]
        anything = 1
    """)
    got = load(Recommend, path)
    assert (got.clock, got.window_ms, got.kafka.bootstrap) == ("replay", 250, "k:1")
    assert got.kafka.properties == {"security.protocol": "SSL"}
    assert got.cassandra.hosts == ["a", "b"]
    assert got.weights.values == {"c0": 2.0, "pop": 0.5}
    assert (got.kafka.group, got.cassandra.port) == ("headwater-recommend", 9042)


def test_a_file_without_the_jobs_table_leaves_the_defaults(file):
    assert load(Recommend, file("[stack]\nx = 1")) == Recommend()
    assert load(Recommend, file("")) == Recommend()


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("window_ms=250", "window_ms", 250),
        ('window_ms="250"', "window_ms", 250),
        ("clock=replay", "clock", "replay"),
        ('clock="replay"', "clock", "replay"),
        ("kafka.bootstrap=host:9092,other:9092", "kafka.bootstrap", "host:9092,other:9092"),
        ("kafka.group=a=b", "kafka.group", "a=b"),
        ('cassandra.hosts=["a", "b"]', "cassandra.hosts", ["a", "b"]),
        ("cassandra.timeout_s=2", "cassandra.timeout_s", 2.0),
        ("cassandra.timeout_s=2.5", "cassandra.timeout_s", 2.5),
        ("ranking.decay=0.5", "ranking.decay", 0.5),
        ("ranking.list_max=7", "ranking.list_max", 7),
        ("strengths.view=1", "strengths.view", 1),
        ("admission.segment_by=age_group", "admission.segment_by", "age_group"),
        ("weights.model=m2", "weights.model", "m2"),
        ("border.record_bytes_max=10", "border.record_bytes_max", 10),
    ],
)
def test_a_setting_can_be_given_on_the_command_line(override, path, value):
    got = load(Recommend, None, [override])
    for name in path.split("."):
        got = getattr(got, name)
    assert got == value
    assert type(got) is type(value)


def test_the_command_line_wins_over_the_file_and_the_last_one_over_the_others(file):
    path = file("[recommend]\nwindow_ms = 1\n[recommend.kafka]\ngroup = 'g'\nevents = 'e'")
    got = load(Recommend, path, ["window_ms=2", "kafka.group=h", "window_ms=3"])
    assert (got.window_ms, got.kafka.group, got.kafka.events) == (3, "h", "e")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("windw_ms=5", ["unknown field `windw_ms`", "did you mean `window_ms`?"]),
        ("kafka.bootstap=x", ["`bootstap`", "did you mean `bootstrap`?"]),
        ("cassandra.zzz=x", ["`zzz`", "legal are hosts, port, datacenter"]),
        ("ranking.candidate_max=5", ["did you mean `candidates_max`?"]),
        ("strengths.purchas=5", ["did you mean `purchase`?"]),
        ("neighbours.zzz=5", ["legal are rows_max, forward_share, damping, similar_max"]),
        ("zzz=5", ["legal are clock, window_ms"]),
        ("clock=fast", ["fast", "$.clock"]),
        ("window_ms=abc", ["$.window_ms"]),
        ("window_ms=0", [">= 1", "$.window_ms"]),
        ("window_ms=1.5", ["$.window_ms"]),
        ("buckets=721", ["<= 720", "$.buckets"]),
        ("disorder_ms=-1", [">= 0"]),
        ("kafka=1", ["$.kafka"]),
        ("cassandra.hosts=a", ["$.cassandra.hosts"]),
        ("cassandra.consistency=ALL", ["$.cassandra.consistency"]),
        ("strengths.view=11", ["strength of `view` is 11; 0 to 10"]),
        ("strengths.dwell_full_s=0", ["`dwell_full_s`"]),
        ("shadows.frozen.weigths.c0=1", ["`weigths`", "did you mean `weights`?"]),
        ("shadows.x.strategy.knd='history'", ["`knd`", "did you mean `kind`?"]),
        ("shadows.x.weights.popularity=1", ["no such features: ['popularity']"]),
        ("shadows.Frozen.kind='popular'", ["[a-z]", "shadows"]),
        ("weights.values.popularity=1", ["no such features: ['popularity']", *FEATURES]),
        ("window_ms", ["--set window_ms", "key=value"]),
        ("", ["key=value"]),
        ("=5", ["key=value"]),
    ],
)
def test_what_is_unknown_or_wrong_is_refused_with_what_is_legal(override, says):
    message = refused(override)
    for part in says:
        assert part in message


TABLES = [
    name
    for name in Recommend.__struct_fields__
    if isinstance(getattr(Recommend(), name), msgspec.Struct)
]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_refuses_what_it_does_not_know(table):
    assert "unknown field `zzz`" in refused(f"{table}.zzz=1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recommend = 5", "has to be a table, [recommend]"),
        ("[recommend", "not TOML"),
        ("[recommend]\nclock = replay", "not TOML"),
        ("[recommend]\nwindow_ms = 1\nwindow_ms = 2", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        ("[recommend]\nwindw_ms = 5", "did you mean `window_ms`?"),
        ("[recommend.kafka]\nbootstrap = 5", "$.kafka.bootstrap"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_name_or_the_key(file, text, says):
    message = refused(path=file(text))
    assert says in message
    assert "headwater.toml" in message or "settings [recommend]" in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "missing.toml does not exist" in refused(path=tmp_path / "missing.toml")
    assert issubclass(SettingsError, HeadwaterError)


def test_a_folder_in_place_of_a_file_is_told_in_a_sentence(tmp_path):
    assert str(tmp_path) in refused(path=tmp_path)


@pytest.mark.parametrize(
    "overrides", [["window_ms=5", "window_ms.x=1"], ["clock=live", "clock.a=b"]]
)
def test_a_key_below_a_plain_value_is_refused(overrides):
    refused(*overrides)


def test_a_client_property_can_be_set_though_its_name_has_dots():
    got = load(Recommend, None, ['kafka.properties."security.protocol"=SSL'])
    assert got.kafka.properties == {"security.protocol": "SSL"}


def test_the_batch_follows_the_clock_unless_it_is_set():
    assert Recommend().batch_ms == 100
    assert Recommend(clock="replay").batch_ms == 1000
    assert Recommend(clock="replay", window_ms=7).batch_ms == 7


def test_the_effective_settings_are_whole_and_read_back():
    settings = load(Recommend, None, ["kafka.group=g", "weights.values.pop=0.5", "parallelism=2"])
    told = json.loads(effective(settings))
    assert told["kafka"]["group"] == "g"
    assert set(told) == set(Recommend.__struct_fields__)
    assert msgspec.convert(told, Recommend) == settings


def test_the_effective_settings_hold_no_password(monkeypatch):
    monkeypatch.setenv(CASSANDRA_PASSWORD, "hunter2")
    assert from_environment(CASSANDRA_PASSWORD) == "hunter2"
    assert "hunter2" not in effective(load(Recommend, None))
    monkeypatch.setenv(CASSANDRA_PASSWORD, "")
    assert from_environment(CASSANDRA_PASSWORD) is None
    monkeypatch.delenv(CASSANDRA_PASSWORD)
    assert from_environment(CASSANDRA_PASSWORD) is None


@pytest.mark.parametrize("name", ["sasl.jaas.config", "ssl.keystore.password", "ssl.key.password"])
def test_the_effective_settings_hold_no_secret_of_the_kafka_client(file, name):
    path = file(f"[recommend.kafka.properties]\n'{name}' = 'hunter2'")
    assert "hunter2" not in effective(load(Recommend, path))


def changed(kind: type[msgspec.Struct], base: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Every setting with a legal value that is not its own: (path, struct with the change)."""
    hints = typing.get_type_hints(kind)
    for name in kind.__struct_fields__:
        value = getattr(base, name)
        if isinstance(value, msgspec.Struct):
            for path, inner in changed(type(value), value):
                yield f"{name}.{path}", msgspec.structs.replace(base, **{name: inner})
        else:
            yield name, msgspec.structs.replace(base, **{name: another(value, hints[name])})


def another(value: Any, hint: Any) -> Any:
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    if choices:
        return next(choice for choice in choices if choice != value)
    if isinstance(value, dict):
        return {**value, "pop": 1.0}
    if isinstance(value, list):
        return [*value, "other"]
    if isinstance(value, str):
        return value + "x"
    return 7 if value is None else value + 1 if value < 10 else value - 1


MEANING = {"strengths", "history", "buckets"}
MOVES_NO_SUM = {"history.rebuild_after_ms"}
CHANGES = dict(changed(Recommend, Recommend()))


@pytest.mark.parametrize("path", CHANGES)
def test_only_strengths_history_and_buckets_change_what_the_state_means(path):
    same = meaning(CHANGES[path]) == meaning(Recommend())
    assert same == (path.split(".")[0] not in MEANING or path in MOVES_NO_SUM)


def test_every_table_of_settings_was_changed():
    assert {path.split(".")[0] for path in CHANGES} == set(Recommend.__struct_fields__)
    assert len(CHANGES) > 60


def test_the_meaning_is_eight_digits_and_always_the_same():
    assert meaning(Recommend()) == meaning(load(Recommend, None))
    assert len(bytes.fromhex(meaning(Recommend()).digest)) == 4


@pytest.mark.parametrize(
    "path", [path for path in CHANGES if path.split(".")[0] in MEANING and path not in MOVES_NO_SUM]
)
def test_a_setting_that_is_part_of_the_state_is_named_when_it_changes(path):
    told = changes(meaning(Recommend()).settings, meaning(CHANGES[path]).settings)
    assert [text.split(" was ")[0] for text in told] == [path]


def test_the_other_jobs_say_what_is_part_of_their_state():
    assert meaning(Understand(buckets=3)).settings == {"buckets": "3"}
    assert meaning(Understand(buckets=3)).digest == "buckets3"
    assert meaning(Learn()) == Meaning()
