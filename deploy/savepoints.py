"""Remembers the savepoints that `headwater stop` took, for `submit --from-savepoint latest`."""

from pathlib import Path
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
    """

    job: str
    path: str
    job_id: str
    taken_ms: int


class Savepoints:
    """The savepoints of a stack, in a file that is forgotten together with them."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.data / "flink" / "savepoints.json"

    def all(self) -> list[Savepoint]:
        """All that were recorded, the oldest first.

        Raises:
            SavepointError: The record cannot be read.
        """
        if not self._file.is_file():
            return []
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Savepoint])
        except msgspec.DecodeError as error:
            msg = f"{self._file} cannot be read ({error}): name the savepoint's path instead"
            raise SavepointError(msg) from error

    def record(self, savepoint: Savepoint) -> None:
        """Remember one more."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode([*self.all(), savepoint])))
        fresh.replace(self._file)

    def find(self, job: str, wanted: str) -> str:
        """Path of a savepoint: the newest of the job for `latest`, else the path itself.

        Raises:
            SavepointError: There is none.
        """
        if wanted != LATEST:
            if not _exists(wanted):
                msg = f"no savepoint in {wanted}: it is a folder with a file _metadata"
                raise SavepointError(msg)
            return wanted
        paths = [one.path for one in self.all() if one.job == job and _exists(one.path)]
        if not paths:
            msg = (
                f"no savepoint of {job} is recorded in {self._file}: `headwater stop {job}` takes "
                "one; without --from-savepoint the job begins with the topics' first records"
            )
            raise SavepointError(msg)
        return paths[-1]


def _exists(path: str) -> bool:
    """Whether a savepoint is there; one on another machine is taken at its word."""
    parsed = urlparse(path)
    if parsed.scheme not in {"", "file"}:
        return True
    return (Path(url2pathname(parsed.path)) / "_metadata").is_file()
