"""Settings of the local stack."""

from pathlib import Path

import pytest

from deploy.stack.errors import SettingsError
from deploy.stack.settings import StackSettings, load_settings, memory_mb


def numbers(settings: StackSettings) -> dict[str, int]:
    return {use.setting: use.number for use in settings.ports() if use.service != "taskmanager-2"}


def write(folder: Path, text: str) -> Path:
    file = folder / "headwater.toml"
    file.write_text(text)
    return file


def test_the_defaults_are_the_well_known_ports() -> None:
    settings = StackSettings()
    assert settings.kafka_bootstrap == "127.0.0.1:9092"
    assert settings.flink_rest_url == "http://127.0.0.1:8081"
    assert settings.port("kafka_controller_port") == 9093
    assert settings.port("cassandra_port") == 9042
    assert settings.port("cassandra_storage_port") == 7000
    assert settings.port("flink_rpc_port") == 6123
    assert settings.metrics_port("jobmanager") == 9249
    assert settings.metrics_port("taskmanager-2") == 9251
    assert settings.port("prometheus_port") == 9095


def test_ports_that_are_not_set_follow_their_services_main_port() -> None:
    settings = StackSettings(kafka_port=19092, cassandra_port=19042, flink_rest_port=18081)
    assert settings.port("kafka_controller_port") == 19093
    assert settings.port("cassandra_storage_port") == 17000
    assert settings.port("flink_rpc_port") == 16123
    assert settings.metrics_port("taskmanager-1") == 19250
    assert settings.port("prometheus_port") == 19095


def test_without_metrics_no_metrics_port_is_used() -> None:
    settings = StackSettings(metrics=False)
    assert settings.metrics_port("jobmanager") is None
    ports = {use.setting for use in settings.ports()}
    assert not {"flink_metrics_port", "prometheus_port"} & ports
    assert not settings.watches


def test_two_settings_on_one_port_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="kafka_port and cassandra_port are both 9092"):
        StackSettings(cassandra_port=9092)


def test_a_port_inside_the_metrics_range_is_refused() -> None:
    with pytest.raises(ValueError, match="kafka_port and flink_metrics_port are both 9255"):
        StackSettings(kafka_port=9255, kafka_controller_port=9093)


def test_a_derived_port_outside_the_legal_range_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="cassandra_storage_port would be 458"):
        StackSettings(cassandra_port=2500)


def test_the_environment_overrides_the_file_which_overrides_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, "[stack]\nkafka_port = 19092\ncassandra_port = 19042\n")
    settings = load_settings(file, {"HEADWATER_STACK_KAFKA_PORT": "29092"})
    assert settings.kafka_port == 29092
    assert settings.cassandra_port == 19042
    assert settings.flink_rest_port == 8081


def test_the_file_is_found_in_the_current_folder_and_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "[stack]\ntaskmanagers = 2\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).taskmanagers == 2
    other = tmp_path / "other.toml"
    other.write_text("[stack]\ntaskmanagers = 3\n[jobs]\nanything = 1\n")
    assert load_settings(environ={"HEADWATER_CONFIG": str(other)}).taskmanagers == 3


def test_without_file_and_environment_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={"PATH": "/bin"}) == StackSettings()


def test_environment_texts_become_numbers_and_truth_values() -> None:
    environ = {"HEADWATER_STACK_METRICS": "false", "HEADWATER_STACK_TASKMANAGERS": "4"}
    settings = load_settings(environ=environ)
    assert settings.metrics is False
    assert settings.taskmanagers == 4


def test_an_unknown_key_is_refused_with_the_nearest_legal_one(tmp_path: Path) -> None:
    file = write(tmp_path, "[stack]\nkafka_prot = 1\n")
    with pytest.raises(SettingsError, match=r"kafka_prot in the \[stack\] table.*mean kafka_port"):
        load_settings(file, {})


def test_an_unknown_variable_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="HEADWATER_STACK_ZZZ: legal are home, cache"):
        load_settings(environ={"HEADWATER_STACK_ZZZ": "1"})


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("KAFKA_PORT", "many", "Expected `int`"),
        ("KAFKA_PORT", "80", ">= 1024"),
        ("CASSANDRA_HEAP", "1 GB", "matching regex"),
        ("STATE_BACKEND", "disk", "Invalid enum value 'disk'"),
        ("KEYSPACE", 'x"; DROP', "matching regex"),
        ("TASKMANAGERS", "16", "<= 15"),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_the_rule(
    key: str, value: str, complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={f"HEADWATER_STACK_{key}": value})
    text = str(caught.value)
    assert f"HEADWATER_STACK_{key} is {value!r}" in text
    assert complaint in text


def test_a_clash_found_while_loading_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="kafka_port and cassandra_port are both 9042"):
        load_settings(environ={"HEADWATER_STACK_KAFKA_PORT": "9042"})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "none.toml", {})


@pytest.mark.parametrize(("text", "complaint"), [("[stack", "not TOML"), ("stack = 1", "a table")])
def test_a_file_that_is_no_settings_file_is_an_error(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load_settings(write(tmp_path, text), {})


def test_the_home_is_absolute_and_holds_the_cache_unless_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert StackSettings().home_path == tmp_path / ".headwater"
    assert StackSettings().cache_path == tmp_path / ".headwater" / "cache"
    assert StackSettings(cache="/jars").cache_path == Path("/jars")


def test_memory_sizes_are_read_in_megabytes() -> None:
    assert memory_mb("512m") == 512
    assert memory_mb("2g") == 2048
