"""Runs a peer's program in its environment, as a process of its own."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.peers.interactions import Interactions
from deploy.peers.results import Errors, Result

_PROGRAMS_IN = Path(__file__).parent
_TOLD_LINES = 15
_QUIET = {
    "OPENBLAS_NUM_THREADS": "1",  # what `implicit` asks for: it has threads of its own
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # all peers are measured in seconds of the processor
}


class Job(Struct, frozen=True, kw_only=True):
    """What a program is to do; see `programs.__main__`.

    Attributes:
        peer: Name.
        stream: File of interactions.
        until: Interactions to read.
        every: Interactions between two trainings.
        parameters: One run each.
        first: Interaction to foretell first.
    """

    peer: str
    stream: Path
    until: int
    every: int
    parameters: Sequence[dict[str, Any]]
    first: int = 0


class Measurement(Struct, frozen=True, kw_only=True):
    """What a program measured in one run, see `programs.prequential.Measured`."""

    rows: list[int]
    ranks: list[int]
    items_shown: int
    ratings: int
    absolutes: float
    squares: float
    seconds_cpu: float
    seconds_wall: float

    @property
    def errors(self) -> Errors | None:
        """None if no rating was foretold."""
        if not self.ratings:
            return None
        mae, rmse = self.absolutes / self.ratings, (self.squares / self.ratings) ** 0.5
        return Errors(mae=mae, rmse=rmse, ratings=self.ratings)


class Report(Struct, frozen=True, kw_only=True):
    """The file that a program leaves."""

    version: str
    runs: list[Measurement]


def run(
    job: Job, python: Path, folder: Path, on_progress: Callable[[int], object] | None = None
) -> Report:
    """Run a job and wait for its end.

    Args:
        job: See there.
        python: Interpreter of the peer's environment.
        folder: Gets the job, what the program says on its standard error, and its result.
        on_progress: Called with the number of interactions so far, of all runs together.

    Raises:
        HeadwaterError: If it fails; the text ends with what it said last.
    """
    file, log = folder / f"{job.peer}.job", folder / f"{job.peer}.log"
    result = folder / f"{job.peer}.result"
    file.write_text(json.dumps(msgspec.to_builtins(job, enc_hook=str) | {"result": str(result)}))
    environment = {**os.environ, **_QUIET, "PYTHONPATH": str(_PROGRAMS_IN)}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(python), "-P", "-m", "programs", str(file)],
            stdout=subprocess.PIPE, stderr=errors, env=environment, text=True,
        )  # fmt: skip
        with process:
            try:
                for line in process.stdout or ():
                    if on_progress and line.strip().isdigit():
                        on_progress(int(line))
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        said = "\n".join(log.read_text("utf-8", "replace").splitlines()[-_TOLD_LINES:])
        msg = f"peer {job.peer} ended with code {process.returncode}; {log} ends with:\n{said}"
        raise HeadwaterError(msg)
    return msgspec.json.decode(result.read_bytes(), type=Report)


def note(job: Job) -> str:
    """How a peer learns, in words."""
    if job.every >= job.until:
        return "learns every event"
    return f"trained every {job.every:,} interactions on all before"


def result_of(job: Job, report: Report, given: Interactions) -> Result:
    """Give the first run of a report with the ids of events."""
    measured = report.runs[0]
    pairs = zip(measured.rows, measured.ranks, strict=True)
    return Result(
        name=job.peer,
        version=report.version,
        parameters=job.parameters[0],
        every=job.every,
        seconds_cpu=round(measured.seconds_cpu, 3),
        seconds_wall=round(measured.seconds_wall, 3),
        coverage=measured.items_shown / given.stream.item_count if measured.rows else None,
        outcomes=[(given.event_ids[row], rank or None) for row, rank in pairs],
        errors=measured.errors,
        note=note(job),
    )
