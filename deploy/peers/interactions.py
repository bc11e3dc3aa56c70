"""A data set as the peers get it: the readers' events, with the strengths of the job."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.peers.programs.stream import Stream
from operators.admission import WITHOUT_STRENGTH
from operators.events import NEGATIVE_ACTIONS, STAR_ACTIONS, Interaction, Item, subject_of
from operators.strengths import Strengths, is_like, strength_of


class Interactions(Struct, frozen=True, kw_only=True):
    """Interactions of users with items, in the order in which the readers give them.

    Attributes:
        stream: In numbers.
        event_ids: The id of the event behind each, as the job sees it.
    """

    stream: Stream
    event_ids: list[str]

    @property
    def has_ratings(self) -> bool:
        """Whether any of them has stars."""
        return not bool(np.isnan(self.stream.ratings).all())


def interactions(records: Iterable[Interaction | Item], strengths: Strengths) -> Interactions:
    """Take what says something about a user and an item, each event once.

    Searches, answers about satisfaction, events without consent and without a session, and events
    whose id has come before are left out, as the job leaves them out. A refusal (dislike, hide,
    report, unfollow) is an interaction of strength 0.

    Raises:
        HeadwaterError: If nothing is left.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    rows: dict[str, tuple[Any, ...]] = {}
    for event in records:
        if isinstance(event, Item) or event.event_id in rows:
            continue
        user, item = subject_of(event), event.item_id
        if user is None or item is None or event.action in WITHOUT_STRENGTH:
            continue
        refused = event.action in NEGATIVE_ACTIONS
        strength = 0 if refused else strength_of(event, strengths)
        rows[event.event_id] = (
            users.setdefault(user, len(users)),
            items.setdefault(item, len(items)),
            strength,
            not refused and is_like(event, strength, strengths),
            event.value if event.action in STAR_ACTIONS and event.value is not None else np.nan,
            event.event_time,
        )
    if not rows:
        msg = "no event of the data set has a user and an item; there is nothing to compare"
        raise HeadwaterError(msg)
    types: tuple[Any, ...] = (np.int32, np.int32, np.int8, np.bool_, np.float32, np.int64)
    columns = zip(*rows.values(), strict=True)
    arrays: list[Any] = [np.array(c, t) for c, t in zip(columns, types, strict=True)]
    stream = Stream(*arrays)
    return Interactions(stream=stream, event_ids=list(rows))


def save(given: Interactions, folder: Path) -> Path:
    """Write the numbers for the programs of the peers, and give the file."""
    file = folder / "stream.npz"
    given.stream.save(file)
    return file
