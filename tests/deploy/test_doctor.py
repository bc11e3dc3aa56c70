"""What the doctor finds, and what it says to do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import doctor
from deploy.cli import app
from deploy.doctor import Check
from deploy.stack import java, services
from deploy.stack.settings import StackSettings

MEMINFO = "MemTotal:       {total} kB\nMemFree:          1 kB\nMemAvailable:   {free} kB\n"
MB = 1024


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(home=str(tmp_path / "home"))


def fake_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("version", "level"), [((3, 11, 0), "ok"), ((3, 12, 1), "fail"), ((3, 10, 9), "fail")]
)
def test_only_python_3_11_will_do(version: tuple[int, int, int], level: str) -> None:
    assert doctor.check_python(version).level == level


@pytest.mark.parametrize(
    ("version", "level"), [("17.0.15", "ok"), ("21.0.1", "fail"), ("1.8.0_402", "fail")]
)
def test_only_java_17_will_do(tmp_path: Path, version: str, level: str) -> None:
    home = fake_java(tmp_path / "java", version)
    check = doctor.check_java(StackSettings(java_home=str(home)))
    assert check.level == level
    assert ("openjdk-17" in check.advice) == (level == "fail")


def test_a_java_home_without_java_is_named_as_missing(tmp_path: Path) -> None:
    check = doctor.check_java(StackSettings(java_home=str(tmp_path)))
    assert (check.level, check.found) == ("fail", "none")


def test_the_stack_refuses_the_java_that_the_doctor_refuses(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "java", "21.0.1")
    with pytest.raises(Exception, match=r"is Java 21, needed is 17.*openjdk-17"):
        java.find_java(str(home))


@pytest.mark.parametrize(
    ("script", "level", "found"),
    [
        ("echo 'Apache Maven 3.8.7'", "ok", "3.8.7"),
        ("echo 'Apache Maven 3.5.4'", "fail", "3.5.4"),
        ("echo broken >&2; exit 1", "fail", "broken"),
    ],
)
def test_maven_has_to_answer_and_be_new_enough(
    tmp_path: Path,
    settings: StackSettings,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    level: str,
    found: str,
) -> None:
    program = tmp_path / "mvn"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = doctor.check_maven(settings)
    assert check.level == level
    assert found in check.found


def test_a_missing_maven_is_only_a_warning_once_the_jars_are_there(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert doctor.check_maven(settings).level == "fail"
    monkeypatch.setattr(doctor.jars, "is_complete", lambda _: True)
    assert doctor.check_maven(settings).level == "warn"


def test_the_memory_needed_follows_the_settings() -> None:
    small = StackSettings(kafka_heap="512m", cassandra_heap="1g", taskmanagers=1)
    large = StackSettings(kafka_heap="1g", cassandra_heap="2g", taskmanagers=3)
    added = 512 + 1024 + 2 * 2600
    assert doctor.needed_memory_mb(large) - doctor.needed_memory_mb(small) == added


def test_the_default_stack_fits_a_machine_of_eight_gigabytes() -> None:
    assert doctor.needed_memory_mb(StackSettings()) < 7_000


@pytest.mark.parametrize(
    ("total", "free", "level"), [(8000, 7000, "ok"), (8000, 2000, "warn"), (4000, 4000, "fail")]
)
def test_memory_is_held_against_the_need(
    settings: StackSettings, total: int, free: int, level: str
) -> None:
    text = MEMINFO.format(total=total * MB, free=free * MB)
    assert doctor.check_memory(settings, text).level == level


@pytest.mark.parametrize(("free_gb", "level"), [(1, "fail"), (5, "warn"), (50, "ok")])
def test_disk_space_has_two_limits(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch, free_gb: int, level: str
) -> None:
    usage = type("Usage", (), {"free": free_gb * 2**30})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert doctor.check_disk(settings).level == level


@pytest.mark.parametrize(("soft", "level"), [(1024, "warn"), (100_000, "ok"), (-1, "ok")])
def test_few_open_files_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, soft: int, level: str
) -> None:
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (soft, 1_000_000))
    assert doctor.check_files().level == level


def test_a_taken_port_fails_with_its_owner_and_free_ones_pass(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.ports, "is_free", lambda port: port not in {9042, 8081})
    monkeypatch.setattr(doctor.ports, "owner_of", lambda _: None)
    check = doctor.check_ports(settings)
    assert check.level == "fail"
    assert "port 9042 for cassandra" in check.advice
    assert "Also taken: 8081" in check.advice
    monkeypatch.setattr(doctor.ports, "is_free", lambda _: True)
    assert doctor.check_ports(settings).level == "ok"


def test_the_pinned_connector_fits_the_installed_flink(settings: StackSettings) -> None:
    check = doctor.check_jars(settings)
    assert check.level == "ok"
    assert "connector 5.0.0-2.2 (fetched at the first up)" in check.found


@pytest.mark.parametrize(
    ("connector", "level"), [("4.0.1-2.0", "warn"), ("3.4.0-1.20", "fail"), ("6.0.0-2.4", "fail")]
)
def test_a_connector_for_another_flink_is_named(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch, connector: str, level: str
) -> None:
    pins = {**doctor.jars.pins(), "flink.kafka.connector.version": connector}
    monkeypatch.setattr(doctor.jars, "pins", lambda: pins)
    check = doctor.check_jars(settings)
    assert check.level == level
    assert "pom.xml" in check.advice


def test_a_pom_for_another_flink_than_the_installed_fails(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = {**doctor.jars.pins(), "flink.version": "2.4.0"}
    monkeypatch.setattr(doctor.jars, "pins", lambda: pins)
    assert doctor.check_jars(settings).level == "fail"


@pytest.mark.parametrize(
    ("check", "module"),
    [
        (doctor.check_pyflink, "pyflink.datastream"),
        (doctor.check_pyflink, "pemja"),
        (doctor.check_driver, "cassandra.io.libevwrapper"),
    ],
)
def test_a_module_that_cannot_be_imported_fails(
    monkeypatch: pytest.MonkeyPatch, check: type, module: str
) -> None:
    def refuse(name: str) -> None:
        if name == module:
            raise ImportError(name)

    monkeypatch.setattr(doctor.importlib, "import_module", refuse)
    result = check()
    assert result.level == "fail"
    assert module in result.found


def test_a_check_that_breaks_hides_none_of_the_others(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Check:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "check_files", broken)
    found = {check.name: check for check in doctor.examine(settings)}
    assert found["open files"].level == "fail"
    assert "no such device" in found["open files"].found
    assert found["Python"].level == "ok"
    assert len(found) == 14


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_exit_code_is_1_only_if_a_check_failed(
    monkeypatch: pytest.MonkeyPatch, level: str, code: int
) -> None:
    checks = [Check("one", "ok", "fine"), Check("two", level, "see [stack]", "set [stack]")]
    monkeypatch.setattr(doctor, "examine", lambda _: checks)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert "set [stack]" in result.output


@pytest.mark.parametrize("name", services.TASKMANAGER_LIBRARIES)
@pytest.mark.parametrize(("found", "level"), [("lib.so.2", "ok"), (None, "warn")])
def test_a_library_that_spares_the_stages_is_a_warning_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, found: str | None, level: str
) -> None:
    monkeypatch.setattr(services, "library", lambda _: found)
    check = doctor.check_library(name)
    assert (check.level, check.found) == (level, found or "none")
    assert (f"lib{name}" in check.advice) == (found is None)
