"""Remembers savepoints and runs, for `submit --from-savepoint latest`.

A run that was stopped has left a savepoint; one that was lost, with the JobManager or by hand, has
left its last checkpoints, which Flink keeps on disk. The newest of all of them is where a job goes
on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.stack.layout import Layout

LATEST = "latest"


class SavepointError(HeadwaterError):
    """The savepoint that was asked for is not there."""


class Savepoint(Struct, frozen=True, kw_only=True):
    """One savepoint.

    Attributes:
        job: Name of the job, such as `recommend`.
        path: Where it is; what `flink run -s` takes.
        job_id: Flink's id of the run it was taken of.
        taken_ms: When.
        meaning: Settings that are part of the state, see `jobs.meaning`; none if not known.
    """

    job: str
    path: str
    job_id: str
    taken_ms: int
    meaning: Mapping[str, str] = {}


class Run(Struct, frozen=True, kw_only=True):
    """One run of a job, by Flink's id, and the settings that are part of its state."""

    job: str
    job_id: str
    meaning: Mapping[str, str] = {}


class Savepoints:
    """The savepoints and runs of a stack, in files that are forgotten together with them."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.data / "flink" / "savepoints.json"
        self._runs = layout.data / "flink" / "runs.json"
        self._checkpoints = layout.checkpoints

    def all(self) -> list[Savepoint]:
        """All that were recorded, the oldest first.

        Raises:
            SavepointError: The record cannot be read.
        """
        return _read(self._file, Savepoint)

    def record(self, savepoint: Savepoint) -> None:
        """Remember one more."""
        _write(self._file, [*self.all(), savepoint])

    def started(self, job: str, job_id: str, meaning: Mapping[str, str]) -> None:
        """Remember a run, for the checkpoints it leaves."""
        runs = _read(self._runs, Run)
        kept = [one for one in runs if (self._checkpoints / one.job_id).is_dir()]
        _write(self._runs, [*kept, Run(job=job, job_id=job_id, meaning=meaning)])

    def meaning_of(self, place: str) -> Mapping[str, str]:
        """Settings that are part of a savepoint, a checkpoint or a run; empty if not known.

        Args:
            place: What `find` gave, or Flink's id of a run.
        """
        known = self._known(place)
        return known.meaning if known else {}

    def _known(self, place: str) -> Savepoint | Run | None:
        """The savepoint in a place, or the run whose id is part of it."""
        path = urlparse(place).path.rstrip("/")
        for saved in self.all():
            if urlparse(saved.path).path.rstrip("/") == path:
                return saved
        parts = path.split("/")
        return next((one for one in _read(self._runs, Run) if one.job_id in parts), None)

    def checkpoint(self, job_id: str) -> str | None:
        """The newest checkpoint that a run has completed, if it is still there."""
        found = _completed(self._checkpoints / job_id)
        return found[-1][1] if found else None

    def find(self, job: str, wanted: str) -> str:
        """Where to go on: for `latest` the newest savepoint or checkpoint of the job, else a path.

        Raises:
            SavepointError: There is none, or it is one of another job.
        """
        if wanted != LATEST:
            if not _exists(wanted):
                msg = f"no savepoint in {wanted}: it is a folder with a file _metadata"
                raise SavepointError(msg)
            if (owner := self._known(wanted)) is not None and owner.job != job:
                msg = f"--from-savepoint {wanted} holds the state of {owner.job}, and not of {job}"
                raise SavepointError(msg)
            return wanted
        places = [
            (one.taken_ms, one.path) for one in self.all() if one.job == job and _exists(one.path)
        ]
        for run in _read(self._runs, Run):
            if run.job == job:
                places += _completed(self._checkpoints / run.job_id)
        if not places:
            msg = (
                f"no savepoint of {job} is recorded in {self._file} and no run of it has left a "
                f"checkpoint in {self._checkpoints}: `headwater stop {job}` takes a savepoint; "
                "without --from-savepoint the job begins with the topics' first records"
            )
            raise SavepointError(msg)
        # The later one of two of the same millisecond was recorded later.
        return sorted(places, key=lambda place: place[0])[-1][1]


_T = TypeVar("_T")


def _read(file: Path, kind: type[_T]) -> list[_T]:
    if not file.is_file():
        return []
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[kind])  # type: ignore[valid-type]
    except msgspec.DecodeError as error:
        msg = f"{file} cannot be read ({error}): name the savepoint's path instead"
        raise SavepointError(msg) from error


def _write(file: Path, records: list[Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(records)))
    fresh.replace(file)


def _completed(folder: Path) -> list[tuple[int, str]]:
    """Times in ms and paths of a run's checkpoints, the oldest first.

    Flink writes `_metadata` last.
    """
    done = [file for file in folder.glob("chk-*/_metadata") if file.stat().st_size]
    return sorted((file.stat().st_mtime_ns // 1_000_000, file.parent.as_uri()) for file in done)


def _exists(path: str) -> bool:
    """Whether a savepoint is there; one on another machine is taken at its word."""
    parsed = urlparse(path)
    if parsed.scheme not in {"", "file"}:
        return True
    return (Path(url2pathname(parsed.path)) / "_metadata").is_file()
