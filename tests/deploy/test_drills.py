"""What a drill compares, and what it sends."""

import itertools
import json
from collections import Counter

import pytest

from deploy.drills.console import chosen
from deploy.drills.drill import Live, Outcome, Replayed
from deploy.drills.faults import DRILLS, Drill
from deploy.drills.load import Load, LoadError, Population
from deploy.drills.poison import samples
from deploy.drills.rows import differences, miscounted
from deploy.drills.scene import DrillError
from operators.events import Border, Interaction, Rejected, parse_event, parse_item

NOW_MS = 1_800_000_000_000


class Kafka:
    """Takes records; `refuse` makes it answer with errors."""

    def __init__(self, refuse: bool = False) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []
        self.refuse, self.full = refuse, 1

    def produce(self, topic, value, *, key, on_delivery):
        if self.full:  # once: a queue that has no room
            self.full -= 1
            raise BufferError
        self.records.append((topic, key, value))
        on_delivery("no" if self.refuse else None, None)

    def poll(self, _):
        return 0

    def flush(self, _):
        return 0


def test_rows_that_differ_are_named_with_their_columns():
    wanted = {("trending", "'all'"): ("[1]", "2"), ("profiles", "'u'"): ("{}", "[]", "3")}
    assert differences(wanted, dict(wanted)) == []
    got = {("trending", "'all'"): ("[9]", "2"), ("profiles", "'v'"): ("{}", "[]", "3")}
    assert differences(wanted, got) == [
        "profiles 'u' is missing",
        "profiles 'v' should not be there",
        "trending 'all' differs in items",
    ]


def test_a_lost_and_a_doubled_event_are_told():
    sent = {"u": {"view": 2}, "v": {"like": 1}}
    assert miscounted(sent, {"u": {"view": 2}, "v": {"like": 1}}) == []
    lost, doubled = miscounted(sent, {"u": {"view": 1}, "v": {"like": 2}})
    assert "u: sent {'view': 2}, counted {'view': 1}" in lost
    assert "v: sent {'like': 1}, counted {'like': 2}" in doubled
    assert miscounted(sent, {"u": {"view": 2}}) != []


def test_an_unknown_drill_is_refused_with_those_there_are():
    assert [one.name for one in chosen([])] == list(DRILLS)
    with pytest.raises(DrillError, match=r"no drill 'fire'; drills are worker, taskmanager"):
        chosen(["worker", "fire"])


def test_a_load_is_the_same_for_a_seed_legal_and_counted():
    population = Population(tenant="t", users=5)
    streams = [list(itertools.islice(population.events(lambda n: n), 200)) for _ in "ab"]
    assert streams[0] == streams[1]
    load = Load(Kafka(), "events", "items", population)
    load.publish(1)
    load.send_all(200, 0, 1)
    records = [value for topic, _, value in load._client.records if topic == "events"]
    events = [parse_event(value, NOW_MS, Border()) for value in records]
    assert all(isinstance(one, Interaction) for one in events)
    counted = Counter((one.user_id, one.action) for one in events)
    assert counted == {(user, action): number for user, counts in load.expected().items()
                       for action, number in counts.items()}  # fmt: skip


def test_a_load_that_does_not_arrive_ends_the_drill():
    load = Load(Kafka(refuse=True), "events", "items", Population(tenant="t"))
    with pytest.raises(LoadError, match="did not take all of the load: no"):
        load.send_all(3, 0, 1)


def test_poison_is_refused_where_it_says_so_and_legal_elsewhere():
    for one in samples("t"):
        parse = parse_event if one.topic == "headwater.events" else parse_item
        refused = isinstance(parse(one.value, NOW_MS, Border()), Rejected)
        assert refused == one.refused, json.dumps(one.value[:80].decode("utf-8", "replace"))


def test_an_outcome_is_as_wrong_as_its_legs():
    live = Live(sent=1, wrong=["lost"], recovered_s=0, stale_max_s=0, repaired_s=0,
                caught_up_s=0, restarts=0)  # fmt: skip
    replay = Replayed(rows=1, wrong=["differs"], took_s=1, undisturbed_s=1, restarts=0)
    assert Outcome(name="a", about="b").wrong() == []
    told = Outcome(name="a", about="b", failed="ended", live=live, replay=replay).wrong()
    assert told == ["ended", "lost", "differs"]


def test_a_drill_that_mounts_says_why_it_is_not_held(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in str(DRILLS["disk-full"].obstacle())
    assert Drill(name="a", about="b", fault=lambda *_: None).obstacle() is None
