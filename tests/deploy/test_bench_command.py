from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.bench import console
from deploy.bench.options import BenchError, BenchOptions
from deploy.cli import app

PLAIN = {"rate": "1000", "users": 100, "items": 200, "seed": 1, "source": None}


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> BenchOptions:
    seen: list[BenchOptions] = []

    def run(options: BenchOptions, config: Path | None, out: Path | None) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(console, "run", run)
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exit_code == 0, result.output
    return seen[0]


def test_the_defaults_are_a_thousand_events_a_second_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = called(monkeypatch)
    assert options == BenchOptions()
    assert (options.rate, options.seconds, options.warmup_events) == (1000.0, 60.0, 200_000)


def test_options_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    options = called(
        monkeypatch, "--rate", "max", "--seconds", "5", "--users", "300", "--items", "40",
        "--seed", "9", "--warmup", "0", "--set", "window_ms=50", "--probes", "3", "--keep",
        "--lead-in", "90",
    )  # fmt: skip
    assert options.rate is None
    assert (options.synthetic.users, options.synthetic.items, options.synthetic.seed) == (
        300,
        40,
        9,
    )
    assert options.synthetic.clusters == 40
    assert (options.warmup_events, options.sets, options.keep) == (0, ["window_ms=50"], True)
    assert options.lead_in_s == 90.0


def test_a_source_is_told_to_the_generator_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert called(monkeypatch, "--source", "somewhere").source == str(Path("somewhere").absolute())


@pytest.mark.parametrize("rate", ["fast", "0", "-5"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(BenchError, match="--rate is a number above 0 or `max`"):
        console.gather(**{**PLAIN, "rate": rate})


def test_the_kind_of_run_follows_from_the_options() -> None:
    def kind(**options: object) -> str:
        return console.kind_of(BenchOptions(**options))[0]

    assert kind() == "rate"
    assert kind(rate=None) == "search"
    assert kind(drain=10) == "drain"
    assert kind(flat=True) == "flat"
