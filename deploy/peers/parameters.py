"""What each peer is run with, from `parameters.toml` or a file of the same form."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.peers.programs.catalogue import PROGRAMS

DEFAULTS = Path(__file__).parent / "parameters.toml"
EVERY_MIN = 500
"""Interactions between two trainings at the least, where the number of trainings decides."""


class PeerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file.

    Attributes:
        environment: Where the peer runs.
        trainings: How often it is trained over a stream; None for a peer that learns every event.
        parameters: What it is run with.
        grid: Values by parameter, all combinations of which are tried.
        found: How the parameters were found.
    """

    environment: str
    trainings: int | None = None
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    found: str = ""

    def candidates(self) -> list[dict[str, Any]]:
        """The parameters and all combinations of the grid, each on top of the parameters."""
        combinations = itertools.product(*self.grid.values()) if self.grid else ()
        made = [self.parameters | dict(zip(self.grid, c, strict=True)) for c in combinations]
        return [self.parameters, *(one for one in made if one != self.parameters)]

    def every(self, interactions: int, asked: int | None) -> int:
        """Interactions between two trainings: as asked, or by the number of trainings."""
        if self.trainings is None:
            return max(1, interactions)
        return asked or max(EVERY_MIN, interactions // self.trainings)


def read(file: Path = DEFAULTS) -> dict[str, PeerSettings]:
    """Read the settings of all peers of a file.

    Raises:
        HeadwaterError: If it cannot be read, or names something unknown.
    """
    try:
        found = msgspec.toml.decode(file.read_bytes(), type=dict[str, PeerSettings])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"parameters of the peers, {file}: {error}"
        raise HeadwaterError(msg) from error
    _refuse_unknown(found, str(file))
    return found


def choose(settings: dict[str, PeerSettings], only: str | None) -> list[str]:
    """Names of the peers to run: those asked for, `NAME,NAME`, or all.

    Raises:
        HeadwaterError: If a name is unknown.
    """
    if only is None:
        return list(settings)
    asked = [name for name in only.split(",") if name]
    _refuse_unknown(asked, "--only", settings)
    return asked


def _refuse_unknown(names: Any, where: str, legal: Any = PROGRAMS) -> None:
    if unknown := [name for name in names if name not in legal]:
        msg = f"{where}: no peer is named {', '.join(unknown)}; peers are {', '.join(legal)}"
        raise HeadwaterError(msg)
