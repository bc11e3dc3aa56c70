"""`headwater replay` from its arguments to its summary, against a client in memory."""

import json
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from deploy.errors import HeadwaterError
from deploy.replay import console
from deploy.replay.command import register
from deploy.replay.progress import LiveShow, PlainShow

NOW_MS = 2_000_000_000_000


class MemoryClient:
    def __init__(self, failing: bool = False, interrupt_at: int = -1):
        self.failing, self.interrupt_at = failing, interrupt_at
        self.records, self.callbacks = [], []

    def produce(self, topic, *, value, key, timestamp, on_delivery):
        if len(self.records) == self.interrupt_at:
            raise KeyboardInterrupt
        self.records.append((topic, json.loads(value)))
        self.callbacks.append(on_delivery)

    def poll(self, timeout):
        return 0

    def flush(self, timeout):
        if self.failing:
            self.callbacks[-1]("broker gone", None)
        return 0


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    made = MemoryClient()
    monkeypatch.setattr(
        console, "connect", lambda bootstrap: setattr(made, "at", bootstrap) or made
    )
    monkeypatch.setattr(console, "_now_ms", lambda: NOW_MS)
    return made


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,10,4,5\n2,10,5,6\n1,20,x,7\n1,20,3,9\n")
    return path


def invoke(*arguments: object, env: dict[str, str] | None = None):
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], env=env or {})


def test_a_replay_sends_all_and_sums_up(client: MemoryClient, ratings: Path):
    result = invoke(ratings)
    assert result.exit_code == 0, result.output
    assert [topic for topic, _ in client.records].count("headwater.events") == 3
    assert "movielens: 2 items, 3 events, 2 users, 1970-01-01 to 1970-01-01" in result.output
    assert "sent 2 items and 3 events" in result.output
    assert "5 delivered, 0 failed" in result.output
    assert "skipped rows: 1" in result.output
    assert "ratings.csv line 4: `value` is 'x'" in result.output
    assert "no movies.csv" in result.output


def test_the_broker_comes_from_the_option_then_the_environment(client: MemoryClient, ratings: Path):
    invoke(ratings)
    assert client.at == "127.0.0.1:9092"
    invoke(ratings, env={"HEADWATER_KAFKA": "k:1"})
    assert client.at == "k:1"
    invoke(ratings, "--bootstrap", "k:2", env={"HEADWATER_KAFKA": "k:1"})
    assert client.at == "k:2"


def test_columns_are_mapped_on_the_command_line(client: MemoryClient, tmp_path: Path):
    path = tmp_path / "shop.csv"
    path.write_text("u\tbuy\ti\t1700000000000\t8\n")
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("sku,name\ni,Lamp\n")
    options = "--map user_id=0 --map action=1 --map item_id=2 --map event_time=3 --map value=4 "
    options += "--map-action buy=rating --time-unit ms --no-header --delimiter \\t --stars-max 10 "
    options += "--map-item item_id=sku --map-item title=name --tenant shop"
    result = invoke(path, *options.split(), "--items", catalogue)
    assert result.exit_code == 0, result.output
    (_, item), (_, event) = client.records
    assert (item["title"], item["tenant"]) == ("Lamp", "shop")
    assert (event["action"], event["value"], event["tenant"]) == ("rating", 4.0, "shop")
    assert event["event_time"] == 1_700_000_000_000


def test_the_command_line_overrides_the_mapping_file(client: MemoryClient, tmp_path: Path):
    path, toml = tmp_path / "shop.csv", tmp_path / "shop.toml"
    path.write_text("uid,item_id,event_time,who\na,i,1,b\n")
    toml.write_text('action = "click"\ntenant = "t"\n[map]\nuser_id = "uid"\n')
    invoke(path, "--mapping", toml)
    invoke(path, "--mapping", toml, "--map", "user_id=who", "--action", "view")
    events = [record for topic, record in client.records if topic == "headwater.events"]
    assert [(e["user_id"], e["action"], e["tenant"]) for e in events] == [
        ("a", "click", "t"),
        ("b", "view", "t"),
    ]


def test_shifted_to_now_the_last_event_sent_is_now(client: MemoryClient, ratings: Path):
    invoke(ratings, "--shift-to-now", "--limit", "2")
    times = [record["event_time"] for topic, record in client.records if "kind" in record]
    assert times == [NOW_MS - 1000, NOW_MS]


def test_rows_ahead_of_the_clock_are_skipped_unless_times_are_shifted(
    client: MemoryClient, tmp_path: Path
):
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,10,4,5\n2,10,5,3000000000\n")
    assert "lies in the future" in invoke(path).output
    assert "skipped" not in invoke(path, "--shift-to-now").output


def test_a_failed_delivery_is_exit_code_1_and_counted(client: MemoryClient, ratings: Path):
    client.failing = True
    result = invoke(ratings)
    assert result.exit_code == 1
    assert "4 delivered, 1 failed" in result.output
    assert "broker gone" in result.output


def test_an_interrupted_replay_still_sums_up(client: MemoryClient, ratings: Path):
    client.interrupt_at = 2
    result = invoke(ratings)
    assert result.exit_code == 130
    assert "sent 1 items and 1 events" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "fast"], "--speed is 'fast'"),
        (["--speed", "0"], "--speed is '0'"),
        (["--map", "user_id"], "--map user_id: expected NAME=VALUE"),
        (["--map", "user=x"], "no field is named user"),
        (["--map-item", "title=x"], "--map-item without --items"),
        (["--strict"], "line 4"),
    ],
)
def test_mistakes_are_sentences(client: MemoryClient, ratings: Path, arguments, message: str):
    result = invoke(ratings, *arguments)
    assert isinstance(result.exception, HeadwaterError)
    assert message in str(result.exception)
    assert client.records == []


def test_a_speed_is_a_number_or_max():
    assert console.parse_speed("max") is None
    assert console.parse_speed("60") == 60.0


def test_without_a_terminal_progress_is_a_line_every_ten_seconds():
    now, out = [0.0], Console(record=True, width=200)
    show = PlainShow(out, lambda: now[0])
    with show:
        show.begin("sending", 1000)
        for second in range(21):
            now[0] = float(second)
            show(second * 10)
    assert out.export_text().splitlines() == [
        "sending: 1,000",
        "sending: 100 of 1,000 (10%), 90 s left, 10/s",
        "sending: 200 of 1,000 (20%), 80 s left, 10/s",
    ]


def test_on_a_terminal_progress_is_a_bar_that_ends_full():
    out = Console(record=True, force_terminal=True, width=100)
    with LiveShow(out) as show:
        show.begin("reading", None)
        show(5)
        show.begin("sending", 1234)
        show(1234)
    shown = out.export_text()
    assert "reading" in shown
    assert "1,234" in shown
