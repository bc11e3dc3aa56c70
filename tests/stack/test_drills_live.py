"""The quick drills on the shared stack, one after the other on one job."""

import os

import pytest

from deploy.drills import drill as legs
from deploy.drills.console import Options, opened
from deploy.drills.faults import DRILLS
from deploy.drills.scene import Names, keyspaces
from deploy.stack import Stack
from deploy.stack.reporting import silent

pytestmark = pytest.mark.stack

QUICK = ("worker", "poison", "cassandra", "taskmanager")


def test_no_event_is_lost_or_doubled_by_what_may_happen_at_night(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)
    keyspace, drills = f"drill_{os.getpid()}", [DRILLS[name] for name in QUICK]
    with (
        opened(stack, None, Options(parallelism=1), silent) as site,
        keyspaces(site, [keyspace]),
    ):
        shown = legs.live(site, drills, Names(f"test-{os.getpid()}"), keyspace, rate=100)
    assert shown.wrong == []
    assert shown.sent > 500
