"""Other recommenders on the same events: their ranks come in as files, one a peer.

A file is a JSON object, as `headwater peers` writes it:

    {"name": "ease",
     "seconds_cpu": 512.3,
     "outcomes": [["ml-1-31-1260759144000", 4], ["ml-1-1029-1260759179000", null]]}

`outcomes` holds, for events of the data set, the id and the place from 1 that the peer's list of
that moment gave to the event's item, null where it was not in the list. Events that a peer does
not name count as misses: a comparison is on the same rows or it is none. What else a file may
hold is in `Peer`; other fields are passed over.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from deploy.evaluation.intervals import Bootstrap, Comparison, Estimate
from deploy.evaluation.judged import Flags, Ints, Judged
from deploy.evaluation.metrics import gains, hits
from deploy.evaluation.sources import EvaluationError


class StarErrors(Struct, frozen=True, kw_only=True):
    """Errors of expected stars: `ratings` were foreseen."""

    mae: float
    rmse: float
    ratings: int


class Peer(Struct, kw_only=True):
    """A file; see the module.

    Attributes:
        outcomes: Empty for a peer that makes no lists.
        version: Its library with the version.
        parameters: What it was run with.
        every: Interactions between two trainings.
        coverage: Share of the items that were among the first ten of any list.
        errors: Of a peer that foresees stars.
    """

    name: str
    seconds_cpu: float
    outcomes: list[tuple[str, int | None]] = []
    version: str = ""
    parameters: dict[str, Any] = {}
    every: int | None = None
    coverage: float | None = None
    errors: StarErrors | None = None

    @property
    def note(self) -> str:
        """What it is, in a line."""
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        trained = f"trained each {self.every:,} events" if self.every else ""
        return "; ".join(part for part in (self.version, values, trained) if part)


class StarLine(Struct, frozen=True, kw_only=True):
    """A peer in the table of those that foresee stars."""

    name: str
    rmse: float
    mae: float
    ratings: int
    seconds_cpu: float


class Line(Struct, frozen=True, kw_only=True):
    """A model in the table of models, on the rows of the headline.

    Attributes:
        name: Of the model; the served one is called `headwater`.
        missing: Rows for which a peer has no rank and no null; counted as misses.
        coverage: Share of the catalogue in its lists of ten, where it is known.
        against: The served model minus this one; None for the served model itself.
    """

    name: str
    hr: Estimate
    ndcg: Estimate
    second_half_hr: float
    seconds_cpu: float | None = None
    missing: int = 0
    coverage: float | None = None
    note: str = ""
    against: Comparison | None = None


def read(folder: Path) -> list[Peer]:
    """All peers of a folder, by file name.

    Raises:
        EvaluationError: There is none, or a file is not one.
    """
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        msg = f"--peers {folder}: no *.json file there; each holds the ranks of one peer"
        raise EvaluationError(msg)
    return [_read(file) for file in files]


def _read(file: Path) -> Peer:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Peer)
    except (OSError, msgspec.DecodeError) as error:
        shape = '{"name", "seconds_cpu", "outcomes": [[event_id, rank or null], …]}'
        msg = f"peer {file}: {error}; a peer reads {shape}"
        raise EvaluationError(msg) from error


def ranks_of(peer: Peer, judged: Judged) -> tuple[Ints, Flags]:
    """Ranks by row, 0 for none, and whether the peer names the row; shape (n,) each."""
    by_id = dict(peer.outcomes)
    ranks = np.fromiter((by_id.get(one) or 0 for one in judged.event_ids), np.int64, len(judged))
    named = np.fromiter((one in by_id for one in judged.event_ids), bool, len(judged))
    return ranks, named


class Other(Struct, frozen=True, kw_only=True):
    """Ranks of a model beside the served one, by row; `named` are the rows it speaks of."""

    name: str
    ranks: Ints
    named: Flags | None = None
    seconds_cpu: float | None = None
    coverage: float | None = None
    note: str = ""


def stars(peers: Sequence[Peer]) -> list[StarLine]:
    """The peers that foresee stars, the best first."""
    found = [
        StarLine(
            name=peer.name, rmse=peer.errors.rmse, mae=peer.errors.mae,
            ratings=peer.errors.ratings, seconds_cpu=peer.seconds_cpu,
        )
        for peer in peers
        if peer.errors is not None
    ]  # fmt: skip
    return sorted(found, key=lambda line: line.rmse)


def others(peers: Sequence[Peer], judged: Judged) -> list[Other]:
    """The peers that make lists."""
    found = []
    for peer in peers:
        if peer.outcomes:
            ranks, named = ranks_of(peer, judged)
            found.append(
                Other(
                    name=peer.name, ranks=ranks, named=named, seconds_cpu=peer.seconds_cpu,
                    coverage=peer.coverage, note=peer.note,
                )
            )  # fmt: skip
    return found


def lines(
    judged: Judged, rows: Flags, beside: Sequence[Other], k: int, seed: int,
    seconds_cpu: float | None, coverage: float,
) -> list[Line]:  # fmt: skip
    """The served model first, then the others by their hits."""
    draws, half = Bootstrap(judged.user[rows], seed), int(rows.sum()) // 2
    served = judged.rank[rows]
    first = _line("headwater", served, draws, k, half, seconds_cpu=seconds_cpu, coverage=coverage)
    found = []
    for other in beside:
        mine = other.ranks[rows]
        missing = 0 if other.named is None else int((~other.named[rows]).sum())
        found.append(
            _line(
                other.name, mine, draws, k, half, seconds_cpu=other.seconds_cpu, missing=missing,
                coverage=other.coverage, note=other.note,
                against=draws.compare(hits(served, k) > 0, hits(mine, k) > 0),
            )
        )  # fmt: skip
    return [first, *sorted(found, key=lambda line: -line.hr.value)]


def _line(name: str, ranks: Ints, draws: Bootstrap, k: int, half: int, **fields: Any) -> Line:
    hit = hits(ranks, k)
    hr, ndcg = draws.means([hit, gains(ranks, k)])
    second = float(hit[half:].mean()) if len(hit) > half else 0.0
    return Line(name=name, hr=hr, ndcg=ndcg, second_half_hr=second, **fields)
