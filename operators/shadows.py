"""Shadow models: other settings on the same stream, judged like the served list, shown to nobody.

When a list is made, a shadow gets what the served model has at that moment, the user's candidates
and the shared lists, and weighs or composes them in its own way. What it would have stored is kept
beside the stored row. The user's next event is held against both: the shadow's row is merged with
the shared row as a reader merges them, and the place of the event's item is its rank.

A shadow differs in what matters when a list is made. Settings that shape the state (histories,
pairs, candidate rows) need a job, or a replay, of their own.
"""

from dataclasses import dataclass

import numpy as np

from operators.kernels import NOWHERE, place_of
from operators.packing import Keys
from operators.scoring import Scored
from operators.served import SharedRow, merge
from operators.stage import scoped

Row = tuple[bytes, bytes, bytes]
"""What a shadow would have stored: packed keys, scores and item scores, best first."""

NO_ROW: Row = (b"", b"", b"")


def standing_key(tenant: str, name: str) -> str:
    """Where a shadow's row `all` stands among those of tenants."""
    return scoped(tenant, name)


def row_of(scored: Scored) -> Row:
    """What would be stored of a list, in 32 bits as in a store."""
    return (
        scored.keys.astype("<u8").tobytes(), scored.scores.tobytes(), scored.item_scores.tobytes(),
    )  # fmt: skip


@dataclass
class Merged:
    """Keys of all that a shadow could show to one user, best first."""

    keys: Keys

    def rank(self, item_key: int) -> int | None:
        """Place of an item, from 1; None where it would not be shown."""
        found = place_of(self.keys, len(self.keys), np.uint64(item_key))
        return None if found == NOWHERE else int(found) + 1


def merged(row: Row, shared: SharedRow, known: bytes, unavailable: Keys) -> Merged:
    """Merge a shadow's row as `served.serve` does with the stored one; the same arguments."""
    keys, scores, parts = (
        np.frombuffer(data, kind) for data, kind in zip(row, ("<u8", "<f4", "<f4"), strict=True)
    )
    _, served = merge(
        keys, scores, parts, shared.keys, shared.scores, shared.item_scores,
        np.frombuffer(known, np.uint8), unavailable,
    )  # fmt: skip
    return Merged(served)
