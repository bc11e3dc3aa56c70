"""Tells whether a port is free and, if not, whose it is."""

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from deploy.stack.errors import PortTakenError
from deploy.stack.processes import MARK, command_of, environment_of
from deploy.stack.settings import ENV_PREFIX, HOST, PortUse

_LISTEN = "0A"


class Owner(NamedTuple):
    """The process that listens on a port."""

    pid: int
    command: str
    stack: str
    """Home folder of the Headwater stack it belongs to; empty if it belongs to none."""

    def __str__(self) -> str:
        if self.stack:
            return f"process {self.pid} of another Headwater stack, in {self.stack}"
        return f"process {self.pid} ({self.command})"


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            # Two sockets may bind one port as long as neither listens: only listening tells.
            probe.listen(1)
            return True
    return False


def owner_of(port: int) -> Owner | None:
    """The process that listens on the port; ``None`` if it is another user's, or gone."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _holds(entry, inodes):
            pid = int(entry.name)
            stack = environment_of(pid).get(MARK, "").partition("#")[0]
            return Owner(pid, command_of(pid), stack)
    return None


def _listening_inodes(port: int) -> Iterable[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                field = line.split()
                if field[3] == _LISTEN and int(field[1].rpartition(":")[2], 16) == port:
                    yield field[9]


def _holds(process: Path, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for handle in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(handle.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return True
    return False


def describe_taken(use: PortUse) -> str:
    """Says who holds a port and which setting moves ours."""
    owner = owner_of(use.number)
    variable = f"{ENV_PREFIX}{use.setting.upper()}"
    return (
        f"port {use.number} for {use.service} is taken by {owner or 'an unknown process'}: "
        f"stop it, or set {use.setting} in [stack] of headwater.toml (or {variable})"
    )


def require_free(uses: Iterable[PortUse]) -> None:
    """Checks that all ports can be had.

    Raises:
        PortTakenError: One line for each port that is taken.
    """
    taken = [describe_taken(use) for use in uses if not is_free(use.number)]
    if taken:
        raise PortTakenError("\n".join(taken))
