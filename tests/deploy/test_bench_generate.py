import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.bench.generate import Open, Problem, Send, Sender, Sent, serve, workload_of
from deploy.bench.options import Shape, Synthetic
from deploy.bench.workload import Listing, Ready, SourceWorkload, SyntheticWorkload, event_body
from operators.events import Border, Interaction, parse_event, parse_item

PLAN = Open(
    bootstrap="127.0.0.1:1", events_topic="events", items_topic="items", tenant="bench",
    synthetic=Synthetic(users=50, items=60), source=None, rate_per_s=100.0,
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s

    def wall_ms(self) -> float:
        return 1_700_000_000_000 + 1000 * self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Client:
    """A Kafka client that takes everything, unless told otherwise."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: list[tuple[str, dict[str, Any], bytes, float]] = []
        self.stall_at: dict[int, float] = {}
        self.full_at: set[int] = set()
        self.refused: list[Any] = []
        self.left = 0

    def __len__(self) -> int:
        return 0

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Any) -> None:
        number = len(self.records)
        if number in self.full_at:
            self.full_at.remove(number)
            raise BufferError
        self.clock.now_s += self.stall_at.get(number, 0.0)
        self.records.append((topic, json.loads(value), key, self.clock.wall_ms()))
        if number in self.refused:
            on_delivery("broker gone", None)

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        return self.left


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)


@pytest.fixture
def sender(clock: Clock, client: Client) -> Sender:
    return Sender(PLAN, workload_of(PLAN), client, clock, clock.wall_ms, clock.sleep)


def test_what_is_sent_keeps_the_contract(sender: Sender, client: Client) -> None:
    items = sender.catalogue()
    sender.send(Send(count=500, rate_per_s=None))
    assert items.items == 60
    for topic, record, key, at_ms in client.records:
        raw = json.dumps(record).encode()
        if topic == "items":
            item = parse_item(raw, int(at_ms), Border())
            assert (item.item_id.encode(), item.tenant) == (key, "bench")
        else:
            event = parse_event(raw, int(at_ms), Border())
            assert isinstance(event, Interaction), event
            assert (event.user_id.encode(), event.tenant) == (key, "bench")
    assert {record["action"] for topic, record, *_ in client.records if topic == "events"} >= {
        "view", "click", "like", "search",
    }  # fmt: skip


def test_events_are_stamped_with_the_time_they_were_due_though_the_client_stalled(
    sender: Sender, client: Client
) -> None:
    client.stall_at = {20: 3.0}
    sent = sender.send(Send(count=100, rate_per_s=10.0))
    times = [record["event_time"] for _, record, _, _ in client.records]
    began = times[0]
    assert [at - began for at in times] == pytest.approx([100 * n for n in range(100)], abs=1)
    handed = [at_ms for *_, at_ms in client.records]
    assert handed[21] - times[21] == pytest.approx(2900, abs=5)
    assert sent.late_max_ms == pytest.approx(2900, abs=5)
    assert sent.late_p50_ms < 5


def test_a_rate_is_kept_and_the_seconds_are_told(sender: Sender) -> None:
    sent = sender.send(Send(count=300, rate_per_s=100.0))
    assert sent.events == 300
    assert sent.seconds == pytest.approx(2.99, abs=0.01)
    assert sent.late_max_ms <= 2.1


def test_without_a_rate_nothing_is_waited_for(sender: Sender, clock: Clock) -> None:
    sent = sender.send(Send(count=3000, rate_per_s=None))
    assert (sent.events, clock.now_s) == (3000, 50.0)


def test_one_send_goes_on_where_the_last_one_ended(sender: Sender, client: Client) -> None:
    for _ in range(3):
        sender.send(Send(count=100, rate_per_s=None))
    ids = [record["event_id"] for _, record, _, _ in client.records]
    assert [int(one[1:10]) for one in ids] == list(range(300))


def test_a_full_queue_is_tried_again(sender: Sender, client: Client) -> None:
    client.full_at = {7, 40}
    assert sender.send(Send(count=100, rate_per_s=None)).failed == 0
    assert len(client.records) == 100


def test_records_that_kafka_refused_or_never_took_are_counted(
    sender: Sender, client: Client
) -> None:
    client.refused = [3]
    client.left = 2
    sent = sender.send(Send(count=10, rate_per_s=None))
    assert (sent.failed, sent.first_failure) == (3, "broker gone")


def test_the_tally_holds_each_user_with_the_last_time(
    sender: Sender, client: Client, tmp_path: Path
) -> None:
    sender.send(Send(count=200, rate_per_s=50.0))
    sender.tally(tmp_path / "tally")
    totals = msgspec.msgpack.decode((tmp_path / "tally").read_bytes())
    events = [record for _, record, _, _ in client.records]
    for user in {event["user_id"] for event in events}:
        own = [event["event_time"] for event in events if event["user_id"] == user]
        assert totals[user] == [len(own), own[-1]]
    assert sum(count for count, _ in totals.values()) == 200


def test_a_workload_that_ends_says_so(clock: Clock, client: Client) -> None:
    class Three:
        def catalogue(self) -> Iterator[Listing]:
            return iter(())

        def events(self) -> Iterator[Ready | Listing]:
            yield Listing("i", b'{"item_id":"i"')
            for n in range(3):
                yield Ready("u", event_body("t", f"e{n}", "u", "i", "view"))

    sender = Sender(PLAN, Three(), client, clock, clock.wall_ms, clock.sleep)
    first = sender.send(Send(count=2, rate_per_s=None))
    assert (first.events, first.items, first.exhausted, first.item) == (2, 1, False, "i")
    second = sender.send(Send(count=2, rate_per_s=10.0))
    assert (second.events, second.exhausted) == (1, True)


def test_a_data_set_comes_in_its_order_with_items_before_their_events(tmp_path: Path) -> None:
    rows = ["user_id,item_id,event_time,action", "a,x,20,view", "b,y,10,like", "a,y,30,purchase"]
    (tmp_path / "events.csv").write_text("\n".join(rows) + "\n")
    records = list(SourceWorkload(tmp_path / "events.csv", "bench").events())
    told = [record.item if isinstance(record, Listing) else record.subject for record in records]
    assert told == ["y", "b", "x", "a", "a"]
    for record in records:
        assert b"event_time" not in record.body
        assert b'"tenant":"bench"' in record.body


def test_the_plan_chooses_the_workload() -> None:
    assert isinstance(workload_of(PLAN), SyntheticWorkload)
    flat = msgspec.structs.replace(PLAN, shape=Shape())
    assert type(workload_of(flat)).__name__ == "CohortsWorkload"


def test_a_command_that_cannot_be_followed_is_answered_with_the_reason() -> None:
    commands = [
        Send(count=1, rate_per_s=None),
        msgspec.structs.replace(PLAN, source="/nowhere/at/all"),
    ]
    said = io.BytesIO()
    serve(io.BytesIO(b"".join(msgspec.json.encode(one) + b"\n" for one in commands)), said)
    answers = [msgspec.json.decode(line, type=Problem) for line in said.getvalue().splitlines()]
    assert answers[0].problem == "Send before Open: send Open first"
    assert "/nowhere/at/all does not exist" in answers[1].problem


def test_the_process_answers_line_by_line_and_ends_with_its_input() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "deploy.bench.generate"],
        input=msgspec.json.encode(PLAN) + b"\n",
        capture_output=True,
        check=True,
    )
    assert msgspec.json.decode(told.stdout, type=Sent) == Sent()
