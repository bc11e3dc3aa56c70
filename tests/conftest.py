"""Fixtures for tests that need the real Kafka, Cassandra and Flink."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.stack import Stack, StackSettings
from deploy.stack.ports import is_free
from deploy.stack.processes import read_stat
from deploy.stack.services import QUICK
from deploy.stack.settings import MAX_TASKMANAGERS

PROJECT = Path(__file__).parent.parent
CACHE = PROJECT / ".headwater" / "cache"
HOMES = PROJECT / ".headwater" / "test"

# JVMs of tests live for seconds or minutes: a second compiler would cost more than it gives.
os.environ.setdefault("JVM_ARGS", f"-XX:+UseSerialGC {QUICK}")

collect_ignore = ["flink/local_understand.py", "flink/local_recommend.py"]
"""Jobs that are submitted: looking for doctests in them would start PyFlink in every test run."""


def free_ports() -> dict[str, int]:
    """Settings that put a whole stack on ports nobody listens on."""
    names = ["kafka_port", "kafka_controller_port", "cassandra_port", "cassandra_storage_port"]
    names += ["flink_rest_port", "flink_rpc_port", "prometheus_port", "flink_metrics_port"]
    # Below the range from which the system takes ports for outgoing connections.
    for base in random.sample(range(20000, 32000, 40), 100):
        if all(is_free(base + step) for step in range(len(names) + MAX_TASKMANAGERS + 1)):
            return {name: base + step for step, name in enumerate(names)}
    pytest.fail("no forty free ports in a row between 20000 and 32000")


def sweep() -> None:
    """Takes down the stacks of test runs that were killed before they could do it."""
    for owner in HOMES.glob("*.json"):
        who = json.loads(owner.read_text())
        stat = read_stat(who["pid"])
        if stat is None or stat.start_ticks != who["start_ticks"]:
            take_down(Stack(StackSettings(home=str(owner.with_suffix("")))))


def take_down(stack: Stack) -> None:
    """Stops a test's stack and removes all traces of it."""
    home = stack.layout.home
    stack.down(wipe=True)
    shutil.rmtree(home, ignore_errors=True)
    home.with_suffix(".json").unlink(missing_ok=True)


def make_home() -> Path:
    """A new home folder, beside a file that says which process it belongs to."""
    me = read_stat(os.getpid())
    assert me is not None
    home = HOMES / f"{me.pid}-{len(list(HOMES.glob(f'{me.pid}-*.json')))}"
    HOMES.mkdir(parents=True, exist_ok=True)
    owner = {"pid": me.pid, "start_ticks": me.start_ticks}
    home.with_suffix(".json").write_text(json.dumps(owner))
    home.mkdir()
    return home


@pytest.fixture(scope="session")
def new_stack() -> Iterator[Callable[..., Stack]]:
    """Makes stacks, not started, on free ports in homes of their own; all are down at the end."""
    sweep()
    made: list[Stack] = []

    def make(**settings: object) -> Stack:
        home = make_home()
        values = {
            "home": str(home), "cache": str(CACHE), "prometheus": False,
            "taskmanager_java_options": QUICK,
            "checkpoint_interval_s": 10,  # a test's job would else be gone before its first one
            **free_ports(), **settings,
        }  # fmt: skip
        made.append(Stack(StackSettings(**values)))
        return made[-1]

    yield make
    for stack in made:
        take_down(stack)


@pytest.fixture(scope="session")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """The running stack that all tests of a session share: Kafka, Cassandra, one TaskManager."""
    shared = new_stack(prometheus=True)
    shared.up()
    return shared
