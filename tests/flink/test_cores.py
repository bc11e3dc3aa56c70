"""The stages of a worker on one core, and nothing else of it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from operators.errors import HeadwaterError
from operators.flink import cores
from operators.flink.cores import STAGE_CORE, StageCore

ALL = os.sched_getaffinity(0)
LAST = max(ALL)


@pytest.fixture
def stage():
    """A thread of its own: what it is kept to stays with it."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


def cores_of(thread: ThreadPoolExecutor) -> set[int]:
    return thread.submit(os.sched_getaffinity, 0).result()


def test_a_thread_keeps_to_the_core_that_the_environment_names_and_no_other_thread_does(stage):
    stage.submit(StageCore({STAGE_CORE: str(LAST)}).keep).result()
    assert cores_of(stage) == {LAST}
    assert os.sched_getaffinity(0) == ALL


@pytest.mark.parametrize("environ", [{}, {STAGE_CORE: ""}])
def test_where_none_is_named_threads_run_anywhere(stage, environ):
    stage.submit(StageCore(environ).keep).result()
    assert cores_of(stage) == ALL


@pytest.mark.parametrize("core", ["4096", "-1", "0,1", "first", " "])
def test_a_core_that_is_none_is_refused_with_those_there_are(core):
    legal = ", ".join(map(str, sorted(ALL)))
    with pytest.raises(HeadwaterError, match=f"{STAGE_CORE} is '{core}': legal are {legal}"):
        StageCore({STAGE_CORE: core}).keep()


@pytest.mark.skipif(len(ALL) == 1, reason="one core alone")
def test_what_a_stage_starts_is_let_go_and_the_stage_is_not(stage, monkeypatch):
    core, ended = StageCore({STAGE_CORE: str(LAST)}), threading.Event()
    stage.submit(core.keep).result()
    started = threading.Thread(target=ended.wait)
    stage.submit(started.start).result()
    assert os.sched_getaffinity(started.native_id) == {LAST}
    core.look()
    assert os.sched_getaffinity(started.native_id) == {LAST}, "too early for a look"
    monkeypatch.setattr(cores, "LOOKS_EVERY_S", 0.0)
    core.look()
    assert os.sched_getaffinity(started.native_id) == ALL
    assert cores_of(stage) == {LAST}
    stage.submit(core.leave).result()
    core.look()
    assert cores_of(stage) == {LAST}, "nobody is left for whom to look"
    ended.set()
