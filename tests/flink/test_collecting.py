"""Whatever a worker opens first, its Python seldom searches for cycles from then on."""

import gc

import pytest

from jobs.read_functions import ReadEvents
from operators.events import Border
from operators.flink import cassandra as sink
from operators.flink import collecting, features
from operators.flink.keyed import KeyedShell
from operators.flink.parsing import ParseEvents
from operators.meaning import Meaning
from tests.flink.fakes import FakeContext
from tests.flink.test_cassandra_writer import SETTINGS
from tests.flink.test_read_functions import make as texts
from tests.graph import stages


@pytest.fixture(autouse=True)
def pythons_own():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def shell():
    return KeyedShell(
        lambda: next(iter(stages())), buckets=1, meaning=Meaning(), cache_size=5,
        journal_batches=3, settle_ms=1000, event_time=False,
    )  # fmt: skip


OPENED = {
    "a stage": shell,
    "a parser": lambda: ParseEvents(Border(), 1, 1000, lambda: 0),
    "the sink": lambda: sink.WriteRows(SETTINGS),
    "the sink of features": lambda: features.WriteFeatures(SETTINGS),
    "a reader of texts": lambda: ReadEvents(
        name="collecting", make=texts, border=Border(), buckets=1, clock=lambda: 0
    ),
}


@pytest.mark.parametrize("make", OPENED.values(), ids=OPENED)
def test_python_waits_for_the_objects_of_many_batches(make, monkeypatch):
    for module, executor in ((sink, "CassandraExecutor"), (features, "VectorExecutor")):
        monkeypatch.setattr(module, "connect", lambda settings: None)
        monkeypatch.setattr(module, executor, lambda session, settings: None)
    make().open(FakeContext())
    assert gc.get_threshold() == collecting.EVERY
