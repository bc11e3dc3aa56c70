"""Jobs on a local mini cluster that tests run as programs of their own, and what these write."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def run_program(name: str, folder: Path, *arguments: str, timeout_s: float = 300) -> None:
    """Run a program of this folder to its end, in another folder.

    Raises:
        AssertionError: It failed; the message is the end of what it printed.
    """
    paths = [str(PROJECT), sysconfig.get_paths()["purelib"]]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests/flink" / name), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def json_lines(folder: Path) -> list[dict]:
    """All records that a job has written to a folder of files of JSON."""
    files = sorted(path for path in folder.rglob("part-*") if path.is_file())
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]
