"""The stages of a worker on one core, and nothing else of it."""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from operators.errors import HeadwaterError
from operators.flink import cores
from operators.flink.cores import STAGE_CORE, Crowd, StageCore

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


@pytest.mark.parametrize(
    ("idle", "others", "found"),
    [
        ([(0, 20)], {1}, [True]),  # full, and there is room
        ([(11, 20)], {1}, [False]),
        ([(0, 14)], {1}, [False]),
        ([(0, 20), (14, 6)], {1}, [True, True]),  # it was full with what is kept off now
        ([(0, 20), (16, 6)], {1}, [True, False]),
        ([(0, 20), (0, 4)], {1}, [True, False]),
        ([(0, 20), (0, 4), (0, 14)], {1}, [True, False, False]),
        ([(0, 20), (0, 4), (0, 16)], {1}, [True, False, True]),
        ([(0, 10, 30)], {1, 2}, [True]),  # on average
        ([(0, 10, 10)], {1, 2}, [False]),
        ([(0,)], set(), [False]),
        ([(0,)], {1}, [False]),  # of which nothing is told
    ],
)
def test_a_core_is_crowded_that_is_full_while_others_have_room(idle, others, found, monkeypatch):
    monkeypatch.setattr(cores, "LOOKS_IN_A_ROW", 1)
    assert list(looks(Crowd(), idle, others)) == found


def looks(crowd: Crowd, idle: Iterable[tuple[int, ...]], others: set[int]) -> Iterator[bool]:
    ticks = dict.fromkeys(range(3), 1000)
    assert not crowd.look({0}, others, ticks, 100), "the first look has nothing to compare with"
    for shares in idle:
        ticks = {core: ticks[core] + share for core, share in enumerate(shares)}
        yield crowd.look({0}, others, ticks, 100)


def test_a_core_is_not_crowded_before_it_has_been_for_a_while():
    full, free = (0, 50), (50, 50)
    found = list(looks(Crowd(), [full] * 4 + [free] + [full] * 6 + [free, full], {1}))
    assert found == [False] * 9 + [True] * 2 + [False] * 2


@pytest.mark.skipif(len(ALL) == 1, reason="one core alone")
def test_other_threads_are_kept_off_a_crowded_core_until_its_stages_end(
    stage, monkeypatch, tmp_path
):
    times, ended, free = tmp_path / "stat", threading.Event(), 0
    monkeypatch.setattr(cores, "_TIMES", times)
    monkeypatch.setattr(cores, "LOOKS_IN_A_ROW", 1)
    monkeypatch.setattr(cores, "LOOKS_EVERY_S", 0.0)
    core = StageCore({STAGE_CORE: str(LAST)})
    stage.submit(core.keep).result()
    other = threading.Thread(target=ended.wait)
    other.start()

    def look(*, crowded: bool) -> set[int]:
        nonlocal free
        free += 1_000_000 if crowded else 0
        lines = (f"cpu{one} 1 0 1 {0 if one == LAST else free} 0" for one in sorted(ALL))
        times.write_text("\n".join(lines))
        core.look()
        return os.sched_getaffinity(other.native_id)

    assert look(crowded=False) == ALL
    assert look(crowded=True) == ALL - {LAST}
    assert cores_of(stage) == {LAST}
    assert os.sched_getaffinity(0) == ALL, "the first thread says what the process may use"
    assert look(crowded=False) == ALL, "nobody else has room"
    assert look(crowded=True) == ALL - {LAST}
    stage.submit(core.leave).result()
    assert os.sched_getaffinity(other.native_id) == ALL
    ended.set()


@pytest.mark.skipif(len(ALL) < 3, reason="nothing to choose between one core and all of them")
def test_a_thread_that_somebody_has_sent_elsewhere_stays_there(stage, monkeypatch):
    monkeypatch.setattr(cores, "LOOKS_EVERY_S", 0.0)
    core, ended, chosen = StageCore({STAGE_CORE: str(LAST)}), threading.Event(), {LAST, min(ALL)}
    stage.submit(core.keep).result()
    other = threading.Thread(target=ended.wait)
    other.start()
    os.sched_setaffinity(other.native_id, chosen)
    core.look()
    assert os.sched_getaffinity(other.native_id) == chosen
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
