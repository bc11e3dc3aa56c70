"""The command line: quick help, exit codes, errors as sentences."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from deploy.cli import app, main
from deploy.stack.local import ServiceStatus, Stack
from deploy.stack.processes import Usage

HEAVY = {"pyflink", "cassandra", "confluent_kafka", "pandas", "numpy", "torch", "deploy.stack"}
USE = Usage("kafka", 42, 0, 300 * 2**20, 12.5, 3725.0)


def test_the_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from deploy.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print('loaded', *sorted(sys.modules))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Start what is missing" in told.stdout
    loaded = set(told.stdout.rpartition("loaded ")[2].split())
    assert "typer" in loaded
    assert HEAVY & loaded == set()


def test_an_error_of_ours_is_one_text_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["headwater", "status", "-c", str(tmp_path / "none.toml")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    text = capsys.readouterr().err
    assert "does not exist" in text
    assert "Traceback" not in text


def test_any_other_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Stack) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["headwater", "status"])
    monkeypatch.setattr(Stack, "status", broken)
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(("state", "code"), [("running", 0), ("died", 1), ("stopped", 1)])
def test_status_exits_with_1_unless_everything_runs(
    monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    running = ServiceStatus(service="kafka", state="running", address="here", usage=USE)
    other = ServiceStatus(service="cassandra", state=state, address="there", log="/logs/c.log")
    monkeypatch.setattr(Stack, "status", lambda _: [running, other])
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == code
    assert "300 MB" in result.output
    assert "1:02:05" in result.output
    assert ("/logs/c.log" in result.output) == (state == "died")


def test_status_can_be_read_by_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    running = ServiceStatus(service="kafka", state="running", address="here", usage=USE)
    monkeypatch.setattr(Stack, "status", lambda _: [running])
    result = CliRunner().invoke(app, ["status", "--json"])
    assert msgspec.json.decode(result.output, type=list[ServiceStatus]) == [running]


def test_provision_without_an_address_does_nothing() -> None:
    result = CliRunner().invoke(app, ["provision"])
    assert result.exit_code == 0
    assert result.output == ""
