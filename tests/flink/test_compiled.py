"""Compiled loops that an image brings along."""

import os
import subprocess
import sys
import threading

from operators.flink.compiled import CACHE, SHIPPED, provide

USES_A_LOOP = """
from operators.flink.compiled import provide
provide()
from operators.kernels import ratio_of
ratio_of(3, 2)
print(sum(ratio_of.stats.cache_hits.values()), sum(ratio_of.stats.cache_misses.values()))
"""


def loop_used(cache, **more: str) -> tuple[int, int]:
    """How often a process found a loop compiled, and how often it had to compile it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", USES_A_LOOP],
        env={**os.environ, CACHE: str(cache), **more}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found, compiled = map(int, done.stdout.split())
    return found, compiled


def test_a_worker_finds_compiled_what_an_image_brings(tmp_path):
    shipped = tmp_path / "image"
    assert loop_used(shipped) == (0, 1)
    assert loop_used(tmp_path / "pod", **{SHIPPED: str(shipped)}) == (1, 0)
    assert loop_used(tmp_path / "without") == (0, 1)


def test_what_is_there_stays_and_only_whole_files_are_added(tmp_path):
    shipped, cache = tmp_path / "image", tmp_path / "pod"
    for name, content in (("operators_1/a.nbi", b"theirs"), ("operators_1/a.1.nbc", b"loop")):
        (shipped / name).parent.mkdir(parents=True, exist_ok=True)
        (shipped / name).write_bytes(content)
    (cache / "operators_1").mkdir(parents=True)
    (cache / "operators_1" / "a.nbi").write_bytes(b"ours")
    variables = {SHIPPED: str(shipped), CACHE: str(cache)}
    tasks = [threading.Thread(target=provide, args=(variables,)) for _ in range(8)]
    for one in tasks:
        one.start()
    for one in tasks:
        one.join()
    found = {path.name: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    assert found == {"a.nbi": b"ours", "a.1.nbc": b"loop"}


def test_without_an_image_nothing_is_done(tmp_path):
    provide({})
    provide({CACHE: str(tmp_path / "pod")})
    provide({SHIPPED: str(tmp_path / "nowhere"), CACHE: str(tmp_path / "pod")})
    assert not (tmp_path / "pod").exists()
