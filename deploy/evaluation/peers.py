"""Other recommenders on the same events: their ranks come in as files, one a peer.

A file is a JSON object:

    {"name": "EASE, re-solved each 4,000 events",
     "seconds_cpu": 512.3,
     "outcomes": [["ml-1-31-1260759144000", 4], ["ml-1-1029-1260759179000", null]]}

`outcomes` holds, for events of the data set, the id and the place from 1 that the peer's list of
that moment gave to the event's item, null where it was not in the list. Events that a peer does
not name count as misses: a comparison is on the same rows or it is none. Optional: `note`, a
sentence, and `tuned_on`, what the peer's settings were chosen on.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from deploy.evaluation.intervals import Bootstrap, Comparison, Estimate
from deploy.evaluation.judged import Flags, Ints, Judged
from deploy.evaluation.metrics import gains, hits
from deploy.evaluation.sources import EvaluationError


class Peer(Struct, kw_only=True):
    """A file; see the module."""

    name: str
    seconds_cpu: float
    outcomes: list[tuple[str, int | None]]
    note: str = ""
    tuned_on: str = ""


class Line(Struct, frozen=True, kw_only=True):
    """A model in the table of models, on the rows of the headline.

    Attributes:
        name: Of the model; the served one is called `headwater`.
        missing: Rows for which a peer has no rank and no null; counted as misses.
        against: The served model minus this one; None for the served model itself.
    """

    name: str
    hr: Estimate
    ndcg: Estimate
    second_half_hr: float
    seconds_cpu: float | None = None
    missing: int = 0
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


def lines(
    judged: Judged,
    rows: Flags,
    others: Sequence[tuple[str, Ints, Flags | None, float | None, str]],
    k: int,
    seed: int,
    seconds_cpu: float | None,
) -> list[Line]:
    """The served model first, then the others: (name, ranks, named rows, CPU seconds, note)."""
    draws, half = Bootstrap(judged.user[rows], seed), int(rows.sum()) // 2
    served = judged.rank[rows]
    found = [_line("headwater", served, draws, k, half, seconds_cpu=seconds_cpu)]
    for name, ranks, named, cost, note in others:
        mine = ranks[rows]
        against = draws.compare(hits(served, k) > 0, hits(mine, k) > 0)
        missing = 0 if named is None else int((~named[rows]).sum())
        found.append(
            _line(
                name, mine, draws, k, half, seconds_cpu=cost, missing=missing, note=note,
                against=against,
            )
        )  # fmt: skip
    return found


def _line(name: str, ranks: Ints, draws: Bootstrap, k: int, half: int, **fields: object) -> Line:
    hit = hits(ranks, k)
    hr, ndcg = draws.means([hit, gains(ranks, k)])
    second = float(hit[half:].mean()) if len(hit) > half else 0.0
    return Line(name=name, hr=hr, ndcg=ndcg, second_half_hr=second, **fields)  # type: ignore[arg-type]
