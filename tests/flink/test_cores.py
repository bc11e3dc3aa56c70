"""The stages of a worker on one core."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from operators.errors import HeadwaterError
from operators.flink.cores import STAGE_CORE, keep_to_core


def kept(environ: dict[str, str]) -> set[int]:
    """Cores of a thread of its own that was kept so."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(keep_to_core, environ).result()
        return thread.submit(os.sched_getaffinity, 0).result()


def test_a_thread_keeps_to_the_core_that_the_environment_names_and_no_other_thread_does():
    before = os.sched_getaffinity(0)
    last = max(before)
    assert kept({STAGE_CORE: str(last)}) == {last}
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("environ", [{}, {STAGE_CORE: ""}])
def test_where_none_is_named_threads_run_anywhere(environ):
    assert kept(environ) == os.sched_getaffinity(0)


@pytest.mark.parametrize("core", ["4096", "-1", "0,1", "first", " "])
def test_a_core_that_is_none_is_refused_with_those_there_are(core):
    legal = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    with pytest.raises(HeadwaterError, match=f"{STAGE_CORE} is '{core}': legal are {legal}"):
        keep_to_core({STAGE_CORE: core})
