"""The whole path on the real services: a foreign program's JSON in, lists out, none lost."""

import json
import os
import random
import re
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner, Result

from deploy.catching_up import lag_of, until_caught_up
from deploy.cli import app
from deploy.cluster import Cluster
from deploy.connections import plan
from deploy.launching import flink_name
from deploy.savepoints import Savepoints
from deploy.serving.store import Store, UserList, opened
from deploy.stack import Stack, monitoring, topics
from deploy.stack.services import TASKMANAGER
from tests.observability.names import UNTIL_IT_HAPPENS, asked
from tests.running import pids
from tests.stack.own_settings import written
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

JOB, TENANT, SURFACE = "recommend", "path", "home"
TASTES = {"jazz": [f"jazz-{n}" for n in range(20)], "rock": [f"rock-{n}" for n in range(20)]}
USERS = [f"user-{n}" for n in range(24)]
ACTIONS = ["view", "click", "like", "purchase"]
STAGE_THREADS = (
    "parse_events", "parse_items", "admission", "figures", "history", "neighbours", "popular",
    "ranking",
)  # fmt: skip


def headwater(*arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, f"{arguments}: {result.output}{result.exception or ''}"
    return result


class Site:
    """A program that knows nothing of Headwater but the contract: plain JSON."""

    def __init__(self, bootstrap: str, events: str, items: str) -> None:
        self._client = Producer({"bootstrap.servers": bootstrap})
        self._events, self._items = events, items
        self._random = random.Random(11)
        self.touched: dict[str, set[str]] = defaultdict(set)
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._number = 0

    def publish_all(self) -> None:
        for category, items in TASTES.items():
            for item in items:
                record = {
                    "tenant": TENANT,
                    "item_id": item,
                    "event_time": time.time_ns() // 1_000_000,
                    "title": f"The {item}",
                    "categories": [category],
                }
                self._client.produce(self._items, json.dumps(record), key=item)
        self.flush()

    def act(self, user: str) -> None:
        """The user does something with an item of the user's taste."""
        taste = TASTES[sorted(TASTES)[USERS.index(user) % 2]]
        item, action = self._random.choice(taste), self._random.choice(ACTIONS)
        self._number += 1
        record = {
            "kind": "interaction",
            "tenant": TENANT,
            "event_id": f"e{self._number}",
            "event_time": time.time_ns() // 1_000_000,
            "user_id": user,
            "item_id": item,
            "action": action,
        }
        self._client.produce(self._events, json.dumps(record), key=user)
        self.touched[user].add(item)
        self.counts[user][action] += 1

    def everybody_acts(self, rounds: int) -> None:
        """In turns: whoever acts first would find nobody to learn from."""
        for _ in range(rounds):
            for user in USERS:
                self.act(user)
        self.flush()

    def send(self, raw: bytes) -> None:
        self._client.produce(self._events, raw, key="broken")

    def flush(self) -> None:
        assert self._client.flush(30) == 0


@pytest.fixture
def config(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A settings file for the shared stack, with topics of this test alone."""
    kinds = ("events", "items", "dead-letters", "outcomes")
    names = {name: f"path-{os.getpid()}-{name}" for name in kinds}
    topics.apply_topics(
        stack.kafka_bootstrap, [topics.Topic(name, 2, {}) for name in names.values()]
    )
    kafka = {name.replace("-", "_"): topic for name, topic in names.items()}
    tables = {"recommend.kafka": kafka | {"group": f"path-{os.getpid()}"}}
    with written(stack, tmp_path, monkeypatch, tables) as file:
        yield file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    with opened(plan(config).settings.cassandra) as made:
        yield made


@pytest.fixture
def site(config: Path) -> Site:
    kafka = plan(config).settings.kafka
    return Site(kafka.bootstrap, kafka.events, kafka.items)


def lists(store: Store) -> dict[str, UserList]:
    found = {user: store.user_list(TENANT, user, SURFACE) for user in USERS}
    return {user: row for user, row in found.items() if row is not None}


def all_are_personal(store: Store) -> bool:
    rows = lists(store).values()
    return len(rows) == len(USERS) and all(row.stored.fallback is None for row in rows)


def caught_up(stack: Stack, config: Path) -> None:
    """All that was sent is in the job's state or in a micro-batch of a fraction of a second."""
    cluster = Cluster(stack.flink_rest_url)
    active = cluster.active(flink_name(JOB))
    assert active is not None
    with lag_of(plan(config).settings.kafka) as lag:
        until_caught_up(cluster, active.job_id, lag, lambda *_: None)


def know_all(site: Site, store: Store) -> bool:
    """Whether the rows were written after the last micro-batch."""
    rows = lists(store)
    return len(rows) == len(USERS) and all(
        one in row.seen for user, row in rows.items() for one in site.touched[user]
    )


def check_lists(site: Site, store: Store) -> None:
    for user, row in lists(store).items():
        ids = [one.item_id for one in row.stored.items]
        assert not site.touched[user] & set(ids), f"{user} is shown what {user} knows"
        assert len(ids) == len(set(ids))
        for one in row.stored.items:
            assert one.source in {"co_occurrence", "trending"}
            if one.seed is not None:
                assert one.seed in site.touched[user]
                assert one.reason == f"Because of The {one.seed}"
        assert any(one.source == "co_occurrence" and one.seed for one in row.stored.items)


def dead_letters(config: Path) -> list[dict[str, object]]:
    kafka = plan(config).settings.kafka
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": f"{kafka.group}-letters",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([kafka.dead_letters])
    messages = consumer.consume(1, timeout=20)
    consumer.close()
    return [json.loads(message.value()) for message in messages if message.error() is None]


def check_watching(stack: Stack) -> None:
    """Every name that a rule or a dashboard asks for is really reported by a running job."""
    if not monitoring.wanted(stack.settings):
        return
    page = f"http://127.0.0.1:{stack.settings.port('prometheus_port')}"

    def missing() -> set[str]:
        with urllib.request.urlopen(f"{page}/api/v1/label/__name__/values", timeout=10) as answer:
            known = set(json.load(answer)["data"])
        flinks = {name for name in asked() if name.startswith("flink_")}
        return {name for name in flinks - known if not UNTIL_IT_HAPPENS.search(name)}

    wait_for(lambda: not missing(), f"metrics: {sorted(missing())}", 60)


def check_windows(stack: Stack) -> None:
    """On the longest way through the job, each stage's windows close after those before it."""
    job = Cluster(stack.flink_rest_url).active(flink_name(JOB))
    assert job is not None
    with urllib.request.urlopen(f"{stack.flink_rest_url}/jobs/{job.job_id}/plan") as answer:
        plan = answer.read().decode()
    found = re.findall(r"TUMBLE\(time_col=\[ts\], size=\[(\d+) ms\], offset=\[(\d+) ms\]\)", plan)
    assert {int(size) for size, _ in found} == {100}
    assert {int(offset) for _, offset in found} == {0, 20, 40, 60, 80}


def check_cores(stack: Stack) -> None:
    """The stages' threads, which share an interpreter, are all on one core of several."""
    if len(os.sched_getaffinity(0)) == 1:
        return
    kept: dict[str, set[int]] = defaultdict(set)
    for name, pid in pids(stack).items():
        for task in Path(f"/proc/{pid}/task").iterdir() if name.startswith(TASKMANAGER) else ():
            with suppress(OSError):  # a thread that has ended meanwhile
                cores = os.sched_getaffinity(int(task.name))
                # What a thread starts has its name until it gets one of its own, but not its core.
                if len(cores) == 1:
                    kept[(task / "comm").read_text().partition(" ")[0]] |= cores
    assert kept.keys() >= set(STAGE_THREADS)
    assert len(set().union(*(kept[name] for name in STAGE_THREADS))) == 1


def test_lists_appear_and_no_event_is_lost_or_doubled_by_a_stop_and_a_start(
    stack: Stack, config: Path, site: Site, store: Store
) -> None:
    names = [item for items in TASTES.values() for item in items]
    site.publish_all()
    headwater("submit", JOB)
    wait_for(lambda: len(store.items(TENANT, names)) == len(names), "the catalogue")
    site.send(b'{"kind": "interaction", "action":')
    site.everybody_acts(5)
    caught_up(stack, config)
    # Those whose partition was read first may have met nobody's pairs yet; now everybody does.
    site.everybody_acts(1)
    wait_for(lambda: all_are_personal(store), "a list of everybody's own")
    caught_up(stack, config)
    wait_for(lambda: know_all(site, store), "rows that know all their users know", 20)
    check_lists(site, store)
    (letter,) = dead_letters(config)
    assert "not a JSON object" in str(letter["reason"])
    check_watching(stack)
    check_cores(stack)
    check_windows(stack)

    printed = headwater("stop", JOB).output
    (taken,) = [one for one in Savepoints(stack.layout).all() if one.path in printed][-1:]
    assert taken.job == JOB
    site.everybody_acts(5)
    # Without the savepoint's offsets and state it would begin here, with nobody's counts.
    headwater("submit", JOB, "--from-savepoint", "latest", "--set", "kafka.start=latest")
    site.everybody_acts(4)
    caught_up(stack, config)

    def counts() -> dict[str, dict[str, int]]:
        found = {user: store.profile(TENANT, user) for user in USERS}
        return {user: dict(row.counts) for user, row in found.items() if row is not None}

    def total() -> int:
        return sum(sum(by_action.values()) for by_action in counts().values())

    wait_for(lambda: total() >= len(USERS) * (6 + 5 + 4), "the last profiles")
    wait_for(lambda: know_all(site, store), "rows that know all their users know", 20)
    assert counts() == {user: dict(site.counts[user]) for user in USERS}
    check_lists(site, store)

    assert "The jazz-" in headwater("show", USERS[0], "--tenant", TENANT).output
    assert "The jazz-" in headwater("similar", "jazz-0", "--tenant", TENANT).output
    assert "Popular in rock" in headwater("trending", "category:rock", "--tenant", TENANT).output
    assert "purchase" in headwater("profile", USERS[0], "--tenant", TENANT).output
    hidden = headwater("profile", USERS[1], "--tenant", TENANT, "--hide", "sax").output
    assert f"hidden tags of {USERS[1]} are now: sax" in hidden
    headwater("erase", USERS[0], "--tenant", TENANT, "--wait")
    assert "nothing is stored for this user" in (
        headwater("show", USERS[0], "--tenant", TENANT).output
    )
