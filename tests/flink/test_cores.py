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


@pytest.fixture
def others():
    """Threads of this process, which get back what they may use."""
    yield ALL - {LAST}
    cores.keep_process(os.getpid(), ALL)


@pytest.mark.skipif(len(ALL) == 1, reason="one core alone")
def test_a_process_is_kept_with_every_thread_and_what_they_start(stage, others):
    assert cores_of(stage) == ALL
    cores.keep_process(os.getpid(), others)
    with ThreadPoolExecutor(1) as later:
        assert cores_of(stage) == cores_of(later) == os.sched_getaffinity(0) == others


@pytest.mark.skipif(len(ALL) == 1, reason="one core alone")
def test_a_python_worker_stays_off_the_core_of_the_stages(stage, others):
    cores.stay_off({STAGE_CORE: str(LAST)})
    assert cores_of(stage) == os.sched_getaffinity(0) == others


@pytest.mark.parametrize("environ", [{}, {STAGE_CORE: ""}, {STAGE_CORE: "first"}])
def test_a_worker_of_which_no_core_is_named_runs_anywhere(environ):
    cores.stay_off(environ)
    assert os.sched_getaffinity(0) == ALL


def test_a_worker_whose_only_core_is_that_of_the_stages_stays_there(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {LAST})
    kept = []
    monkeypatch.setattr(cores, "keep_process", lambda *told: kept.append(told))
    cores.stay_off({STAGE_CORE: str(LAST)})
    assert kept == []


def test_the_interpreter_inside_a_taskmanager_is_no_worker(monkeypatch, tmp_path):
    kept = []
    monkeypatch.setattr(cores, "keep_process", lambda *told: kept.append(told))
    monkeypatch.setattr(cores, "_PROGRAM", tmp_path / "java")
    cores.stay_off({STAGE_CORE: str(LAST)})
    assert kept == []
