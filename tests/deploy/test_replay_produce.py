"""What goes to Kafka: topics, keys, values, times, back-pressure and failures; and at what pace."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Producer as KafkaClient

from deploy.replay.pace import Pace
from deploy.replay.produce import (
    EVENTS_TOPIC,
    ITEMS_TOPIC,
    KafkaUnreachableError,
    Producer,
    connect,
)
from deploy.replay.readers import open_source
from deploy.replay.run import Sent, replay
from operators.events import Border, Erase, Event, Interaction, Item, parse_event, parse_item


class FakeClient:
    """A client with a queue of bounded length that `poll` empties, and places that fail."""

    def __init__(self, room: int = 10**9, fail_at: tuple[int, ...] = (), refuse_at: int = -1):
        self.room, self.fail_at, self.refuse_at = room, fail_at, refuse_at
        self.queued, self.records, self.polls = [], [], 0

    def produce(self, topic, *, value, key, timestamp, on_delivery):
        if len(self.queued) >= self.room:
            raise BufferError
        if len(self.records) + len(self.queued) == self.refuse_at:
            raise KafkaException("too large")
        self.queued.append((topic, key, value, timestamp, on_delivery))

    def poll(self, timeout):
        self.polls += 1
        queued, self.queued = self.queued, []
        for record in queued:
            failed = len(self.records) in self.fail_at
            self.records.append(record)
            if failed:
                record[-1]("no such partition", None)
        return len(queued)

    def flush(self, timeout):
        self.poll(timeout)
        return 0


def event(**fields: object) -> Interaction:
    given = {"event_id": "e", "event_time": 7, "action": "view", "user_id": "ü", "item_id": "i"}
    return Interaction(**(given | fields))


def sent_of(record: Event | Item) -> tuple:
    client = FakeClient()
    with Producer(client) as producer:
        send = producer.send_item if isinstance(record, Item) else producer.send_event
        send(record)
    return client.records[0][:4]


def test_an_event_goes_out_under_its_user_with_its_time_and_kind():
    topic, key, value, time_ms = sent_of(event(value=4.5))
    assert (topic, key, time_ms) == (EVENTS_TOPIC, "ü".encode(), 7)
    assert json.loads(value) == {
        "kind": "interaction",
        "event_id": "e",
        "event_time": 7,
        "action": "view",
        "user_id": "ü",
        "item_id": "i",
        "value": 4.5,
    }


def test_an_event_without_a_user_goes_out_under_its_session():
    assert sent_of(event(user_id=None, session_id="s"))[1] == b"s"


def test_other_kinds_of_events_go_out_under_their_user():
    topic, key, value, _ = sent_of(Erase(event_id="e", event_time=7, user_id="u"))
    assert (topic, key, json.loads(value)["kind"]) == (EVENTS_TOPIC, b"u", "erase")


def test_an_item_goes_out_under_its_id():
    topic, key, value, time_ms = sent_of(Item(item_id="i", event_time=9, title="T"))
    assert (topic, key, time_ms) == (ITEMS_TOPIC, b"i", 9)
    assert json.loads(value) == {"item_id": "i", "event_time": 9, "title": "T"}


def test_what_goes_out_comes_back_through_the_contract():
    record, item = event(text="a", consent=False), Item(item_id="i", event_time=9, title="T")
    assert parse_event(sent_of(record)[2], 10, Border()) == record
    assert parse_item(sent_of(item)[2], 10, Border()) == item


def test_a_full_queue_holds_the_sender_back_and_loses_nothing():
    client = FakeClient(room=3)
    producer = Producer(client)
    for time_ms in range(1, 11):
        producer.send_event(event(event_time=time_ms))
    assert producer.flush() == 0
    assert [record[3] for record in client.records] == list(range(1, 11))
    assert (producer.sent, producer.delivered) == (10, 10)


def test_reports_are_fetched_while_sending():
    client = FakeClient()
    producer = Producer(client)
    for _ in range(2500):
        producer.send_event(event())
    assert client.polls == 2


def test_failed_deliveries_are_counted_with_the_first_reason():
    producer = Producer(FakeClient(fail_at=(1, 3)))
    for _ in range(5):
        producer.send_event(event())
    assert producer.flush() == 2
    assert (producer.sent, producer.failed, producer.delivered) == (5, 2, 3)
    assert producer.first_failure == "no such partition"


def test_a_record_that_the_client_refuses_is_a_failed_one():
    producer = Producer(FakeClient(refuse_at=0))
    producer.send_event(event())
    assert (producer.flush(), producer.sent, producer.first_failure) == (1, 1, "too large")


def test_what_is_still_under_way_at_the_end_counts_as_failed():
    client = FakeClient()
    client.flush = lambda timeout: 2
    producer = Producer(client)
    producer.send_event(event())
    assert producer.flush(0.5) == 2
    assert "0.5 s" in producer.first_failure


class FakeTime:
    def __init__(self):
        self.now_s, self.slept = 100.0, []

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds


def test_a_pace_sleeps_the_gaps_of_the_stream_divided_by_the_speed():
    time = FakeTime()
    pace = Pace(60, time.clock, time.sleep)
    for time_ms in (1_000_000, 1_000_000, 1_060_000, 1_090_000):
        pace.wait(time_ms)
    assert time.slept == [1.0, 0.5]


def test_a_late_stream_catches_up_without_sleeping():
    time = FakeTime()
    pace = Pace(1, time.clock, time.sleep)
    pace.wait(0)
    time.now_s += 10
    pace.wait(4000)
    pace.wait(12_000)
    assert time.slept == [2.0]


def test_the_fastest_pace_never_sleeps():
    time = FakeTime()
    pace = Pace(None, time.clock, time.sleep)
    pace.wait(0)
    pace.wait(10**12)
    assert time.slept == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"u{n % 3},{n % 4},5,{n}\n" for n in range(12))
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    return tmp_path


def test_a_replay_sends_all_records_in_the_order_of_the_source(folder: Path):
    source, client, heard = open_source(folder), FakeClient(), []
    producer = Producer(client)
    sent = replay(source, producer, Pace(None), on_sent=lambda s: heard.append((s.items, s.events)))
    producer.flush()
    assert sent == Sent(items=4, events=12)
    assert heard[:2] == [(1, 0), (1, 1)]
    assert heard[-1] == (4, 12)
    assert [json.loads(record[2]).get("event_id") for record in client.records] == [
        getattr(record, "event_id", None) for record in source.records()
    ]


def test_a_replay_keeps_its_pace_limit_and_shift(folder: Path):
    source, client, time = open_source(folder), FakeClient(), FakeTime()
    pace = Pace(2, time.clock, time.sleep)
    sent = replay(source, Producer(client), pace, limit=3, shift_ms=500)
    client.poll(0)
    assert sent == Sent(items=3, events=3)
    assert time.slept == [0.5, 0.5]
    assert [record[3] for record in client.records] == [500, 500, 1500, 1500, 2500, 2500]


def test_a_replay_ends_at_the_first_failed_delivery(folder: Path):
    client = FakeClient(room=2, fail_at=(1,))
    sent = replay(open_source(folder), Producer(client), Pace(None))
    assert sent.broken_off
    assert sent.items + sent.events == 3


def test_no_broker_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deploy.replay.produce._CONNECT_TIMEOUT_S", 0.2)
    with pytest.raises(KafkaUnreachableError, match=r"127\.0\.0\.1:9 .*headwater up.*--bootstrap"):
        connect("127.0.0.1:9")


@pytest.fixture(scope="module")
def broker():
    """The broker that librdkafka carries for tests: its own protocol, no Java."""
    owner = KafkaClient({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    address = ",".join(f"{b.host}:{b.port}" for b in owner.list_topics(timeout=10).brokers.values())
    yield owner, address
    owner.flush(1)


def murmur2(key: bytes) -> int:
    """The hash of the Java client (org.apache.kafka.common.utils.Utils.murmur2), positive."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def read_all(address: str, topic: str, count: int) -> list:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages = []
    while len(messages) < count:
        batch = consumer.consume(count, timeout=20)
        assert batch, f"{len(messages)} of {count} records arrived"
        messages += batch
    consumer.close()
    return messages


def test_missing_topics_are_named_until_they_are_there(broker):
    owner, address = broker
    with pytest.raises(KafkaUnreachableError, match=r"no topic .*provision"):
        connect(address)
    for topic in (ITEMS_TOPIC, EVENTS_TOPIC):
        owner.list_topics(topic, timeout=10)
    with Producer(connect(address)) as producer:
        for number in range(200):
            producer.send_event(
                event(event_id=str(number), event_time=number, user_id=f"u{number % 20}")
            )
    assert (producer.delivered, producer.failed) == (200, 0)
    messages = read_all(address, EVENTS_TOPIC, 200)
    assert {m.timestamp()[1] for m in messages} == {1, *range(1, 200)}
    assert all(m.partition() == murmur2(m.key()) % 4 for m in messages)
    by_user: dict[bytes, list[int]] = {}
    for message in messages:
        by_user.setdefault(message.key(), []).append(message.timestamp()[1])
    assert all(times == sorted(times) for times in by_user.values())
