"""Starts, recognises, measures and ends the stack's processes.

Every service leads a session of its own and is started in the foreground, so the recorded id is
the JVM's and its Python workers are the other members of the session. A record holds the process's
start time and the machine's boot, because a number alone may belong to somebody else by the time
it is read. A session whose leader is gone is recognised by a variable in its members' environment.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

MARK = "HEADWATER_SERVICE_OF"
"""Environment variable that every process of a stack inherits: ``<home>#<service>``."""

POLL_S = 0.05
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written down of a started process.

    Attributes:
        service: Name of the service.
        pid: Process, process group and session at once.
        start_ticks: Start time in clock ticks since the boot, as in ``/proc/<pid>/stat``.
        boot_id: The boot those ticks count from.
        mark: Value of the ``MARK`` variable of the whole session.
        config: Digest of the configuration it was started with.
        resource_id: Name under which a TaskManager registers; empty for the others.
    """

    service: str
    pid: int
    start_ticks: int
    boot_id: str
    mark: str
    config: str = ""
    resource_id: str = ""


class Stat(NamedTuple):
    """The fields of ``/proc/<pid>/stat`` that are needed here."""

    pid: int
    state: str
    session: int
    cpu_ticks: int
    reaped_cpu_ticks: int
    start_ticks: int
    rss_bytes: int


class Usage(NamedTuple):
    """Resources of one service, its Python workers included."""

    service: str
    pid: int
    workers: int
    rss_bytes: int
    cpu_s: float
    age_s: float


def read_stat(pid: int) -> Stat | None:
    """State of one process; ``None`` if there is none, or only its remains.

    A killed JVM's first thread is gone while the others still hold its ports: it counts until the
    last of them has ended.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in brackets, may itself hold brackets and blanks: cut after the last.
    field = text[text.rindex(")") + 2 :].split()
    if field[0] in "ZX" and int(field[17]) <= 1:
        return None
    return Stat(
        pid=pid,
        state=field[0],
        session=int(field[3]),
        cpu_ticks=int(field[11]) + int(field[12]),
        reaped_cpu_ticks=int(field[13]) + int(field[14]),
        start_ticks=int(field[19]),
        rss_bytes=int(field[21]) * _PAGE_BYTES,
    )


def environment_of(pid: int) -> dict[str, str]:
    """Environment a process was started with; empty if it may not be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0"))
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def command_of(pid: int) -> str:
    """Command line of a process, cut to what fits a message."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    text = os.fsdecode(raw).replace("\0", " ").strip()
    return text if len(text) <= 90 else f"{text[:87]}..."


def boot_id() -> str:
    """Identity of the machine's current boot."""
    return _BOOT_ID.read_text("ascii").strip()


def processes() -> Iterator[Stat]:
    """Every process of the machine that is more than its remains."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := read_stat(int(entry.name))):
            yield stat


def _inherited() -> list[int]:
    """Descriptors that a child would get: pipes and locks of whoever called this program."""
    found = []
    for number in (int(entry.name) for entry in Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found


def spawn(
    service: str,
    command: Sequence[str],
    env: Mapping[str, str],
    output: Path,
    mark: str,
) -> Record:
    """Starts a command as the leader of a new session, without input, output into a file.

    It runs in the output's folder: Flink's scripts leave empty entries in their class path, which
    mean the current folder, and whatever a person's folder holds must not become part of Flink.

    Returns:
        The record of the started process, not yet saved.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # exec keeps the process id, so that the shell's becomes the command's.
    entered = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(output.parent), *command]
    pid = os.posix_spawn(
        entered[0],
        entered,
        {**env, MARK: mark},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
        ],
        setsid=True,
    )
    stat = read_stat(pid)
    return Record(service, pid, stat.start_ticks if stat else -1, boot_id(), mark)


def alive(record: Record) -> bool:
    """Whether the very process of the record runs, not another that got its number."""
    # A child that ended stays in the table until its parent asks; only the starter is the parent.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(record.pid, os.WNOHANG)
    stat = read_stat(record.pid)
    return stat is not None and _same(stat, record)


def _same(stat: Stat, record: Record) -> bool:
    return stat.start_ticks == record.start_ticks and record.boot_id == boot_id()


def members(record: Record) -> list[Stat]:
    """All live processes of the record's session, the leader included if it lives."""
    if record.boot_id != boot_id():
        return []
    return [
        stat
        for stat in processes()
        if stat.session == record.pid
        and (
            _same(stat, record)
            if stat.pid == record.pid
            else environment_of(stat.pid).get(MARK) == record.mark
        )
    ]


def kill_session(record: Record, timeout_s: float = 10.0) -> bool:
    """Kills every member of the session at once and waits until none is left.

    Returns:
        Whether none is left.
    """
    deadline = time.monotonic() + timeout_s
    while left := members(record):
        if time.monotonic() > deadline:
            return False
        for stat in left:
            send(stat.pid, signal.SIGKILL)
        time.sleep(POLL_S)
        alive(record)
    return True


def send(pid: int, signum: signal.Signals) -> None:
    """Sends a signal to a process that may already be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def stop(record: Record, timeout_s: float) -> bool:
    """Asks the leader to stop, waits, then kills what is left of its session.

    Returns:
        Whether no process of the session is left.
    """
    if alive(record):
        send(record.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while alive(record) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return kill_session(record)


def usage(record: Record) -> Usage | None:
    """Memory and CPU of a service with its workers; ``None`` if the service does not run.

    CPU seconds count the workers that have already ended and been collected by the leader.
    """
    found = members(record)
    leader = next((stat for stat in found if stat.pid == record.pid), None)
    if leader is None:
        return None
    ticks = sum(stat.cpu_ticks + stat.reaped_cpu_ticks for stat in found)
    return Usage(
        service=record.service,
        pid=record.pid,
        workers=len(found) - 1,
        rss_bytes=sum(stat.rss_bytes for stat in found),
        cpu_s=ticks / _TICKS_PER_S,
        age_s=time.clock_gettime(time.CLOCK_BOOTTIME) - record.start_ticks / _TICKS_PER_S,
    )


def save(record: Record, folder: Path) -> None:
    """Writes a record to ``<folder>/<service>.json`` in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{record.service}.new"
    fresh.write_bytes(msgspec.json.encode(record))
    fresh.replace(folder / f"{record.service}.json")


def load(folder: Path) -> dict[str, Record]:
    """All records of a folder by service; one that cannot be read counts as absent."""
    found: dict[str, Record] = {}
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(msgspec.DecodeError, FileNotFoundError):
            record = msgspec.json.decode(file.read_bytes(), type=Record)
            found[record.service] = record
    return found


def forget(service: str, folder: Path) -> None:
    """Removes a service's record."""
    (folder / f"{service}.json").unlink(missing_ok=True)
