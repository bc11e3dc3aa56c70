"""Whatever a worker opens first, its Python seldom searches for cycles from then on."""

import gc

import msgspec
import pytest

from jobs.read_functions import ReadEvents
from operators.flink import collecting, features, writing
from operators.flink.parsing import ParseRecords
from operators.parsing import of_weights
from tests.flink.fakes import FakeContext
from tests.flink.test_cassandra_writer import SETTINGS
from tests.flink.test_keyed import shell_of
from tests.flink.test_read_functions import opened as reader
from tests.graph import stages


@pytest.fixture(autouse=True)
def pythons_own():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


OPEN = {
    "a stage": lambda: shell_of(lambda: next(iter(stages())), FakeContext()),
    "a parser": lambda: ParseRecords(of_weights).open(FakeContext()),
    "the sink": lambda: writing.begin(msgspec.msgpack.encode(SETTINGS)),
    "the sink of features": lambda: features.WriteFeatures(SETTINGS).open(FakeContext()),
    "a reader of texts": lambda: reader(ReadEvents),
}


@pytest.mark.parametrize("worker_opens", OPEN.values(), ids=OPEN)
def test_python_waits_for_the_objects_of_many_batches(worker_opens, monkeypatch):
    for module, executor in ((writing, "CassandraExecutor"), (features, "VectorExecutor")):
        monkeypatch.setattr(module, "connect", lambda settings: None)
        monkeypatch.setattr(module, executor, lambda session, settings: None)
    worker_opens()
    assert gc.get_threshold() == collecting.EVERY
