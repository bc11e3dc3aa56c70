"""A data set as the two topics of the job, written to files in the order they are to be applied."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from deploy.evaluation.judged import Flags, Ints
from deploy.evaluation.metrics import Floats
from deploy.replay.readers import Source
from operators.events import Interaction, Item, subject_of
from operators.strengths import Strengths, is_like, strength_of

SPREAD_BELOW_MS = 1000
AFTER_THE_END_MS = 1000
DAY_MS = 86_400_000


class Events(Struct, kw_only=True):
    """The events of a data set by column, in the order they are sent.

    Attributes:
        ids: Event ids; likewise `users`, `items` (empty for none) and the arrays below.
        times_ms: Event times as sent.
        stars: Of ratings and reviews; NaN for other events.
        likes: Whether the event is a like by the strengths of the job.
        places: Place of each event among the records of the source, shape (n,).
        actions: Number of events by action.
        duplicates: Events left out because an earlier one has their id.
        moved_ms_max: How far a time was moved at the most; 0 if none was.
        held_out: Events that were put after all others.
    """

    ids: list[str]
    users: list[str]
    items: list[str]
    times_ms: Ints
    stars: Floats
    likes: Flags
    places: Ints
    actions: dict[str, int]
    duplicates: int
    moved_ms_max: int = 0
    held_out: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> "Events":
        """These rows in this order."""
        places = rows.tolist()
        return structs.replace(
            self, ids=[self.ids[row] for row in places], users=[self.users[row] for row in places],
            items=[self.items[row] for row in places], times_ms=self.times_ms[rows],
            stars=self.stars[rows], likes=self.likes[rows], places=self.places[rows],
        )  # fmt: skip


def collect(
    source: Source,
    strengths: Strengths,
    limit: int | None = None,
    on_event: Callable[[int], object] | None = None,
) -> Events:
    """Read the events once, duplicates left out."""
    ids: dict[str, None] = {}
    users, items, times, stars, likes, places = [], [], [], [], [], []
    actions: Counter[str] = Counter()
    place = -1
    for record in source.records(limit):
        if isinstance(record, Item):
            continue
        place += 1
        if record.event_id in ids:
            continue
        ids[record.event_id] = None
        users.append(subject_of(record) or "")
        items.append(record.item_id or "")
        times.append(record.event_time)
        graded = record.action in {"rating", "review"} and record.value is not None
        stars.append(record.value if graded else np.nan)
        likes.append(is_like(record, strength_of(record, strengths), strengths))
        places.append(place)
        actions[record.action] += 1
        if on_event:
            on_event(len(places))
    return Events(
        ids=list(ids), users=users, items=items, times_ms=np.array(times, np.int64),
        stars=np.array(stars, np.float64), likes=np.array(likes, bool),
        places=np.array(places, np.int64), actions=dict(actions.most_common()),
        duplicates=place + 1 - len(ids),
    )  # fmt: skip


def spread(events: Events) -> Events:
    """Move times so that each event has a millisecond of its own, in the order of the file.

    Events of one time are spread evenly over what the data cannot tell apart: a second where times
    are in seconds, a day where they are dates. So batches of one millisecond hold one event each,
    and what goes by the second or the minute in the job finds the pace that the data had.
    """
    moved = apart(evenly(events.times_ms))
    by_ms = int((moved - events.times_ms).max(initial=0))
    return structs.replace(events, times_ms=moved, moved_ms_max=by_ms)


def evenly(times_ms: Ints | list[int]) -> Ints:
    """Spread equal ones of ordered times over the unit that all of them are counted in.

    >>> evenly([1000, 1000, 3000, 3000, 3000, 3000]).tolist()
    [1000, 2000, 3000, 3500, 4000, 4500]
    """
    times = np.asarray(times_ms, np.int64)
    values, first, counts = np.unique(times, return_index=True, return_counts=True)
    unit = min(int(np.gcd.reduce(np.diff(values))), DAY_MS) if len(values) > 1 else 0
    numbers = np.arange(len(times)) - np.repeat(first, counts)
    return np.asarray(times + numbers * unit // np.repeat(counts, counts), np.int64)


def apart(times_ms: Ints | list[int]) -> Ints:
    """The least increase that makes ordered times strictly increasing.

    >>> apart([5, 5, 5, 6, 20]).tolist()
    [5, 6, 7, 8, 20]
    """
    steps = np.arange(len(times_ms))
    return np.asarray(np.maximum.accumulate(np.asarray(times_ms) - steps) + steps, np.int64)


def hold_out_last(events: Events) -> Events:
    """Put the last positive of each user after all events, as leave-last-out does.

    A positive is a like of an item that is new to the user, by a user with an earlier one. The
    others keep their times: the list that is judged has learned from what others did later.
    """
    last: dict[str, int] = {}
    touched: set[tuple[str, str]] = set()
    liked: Counter[str] = Counter()
    for row, (user, item) in enumerate(zip(events.users, events.items, strict=True)):
        new = (user, item) not in touched
        touched.add((user, item))
        if new and item and events.likes[row]:
            liked[user] += 1
            if liked[user] > 1:
                last[user] = row
    held = np.zeros(len(events), bool)
    held[list(last.values())] = True
    order = np.r_[np.flatnonzero(~held), np.flatnonzero(held)]
    times = events.times_ms[order].copy()
    kept = len(events) - len(last)
    if kept and len(last):
        after = times[kept - 1] + AFTER_THE_END_MS * (1 + np.arange(len(last)))
        times[kept:] = np.maximum(after, times[kept - 1])
    return structs.replace(events.take(order), times_ms=times, held_out=len(last))


def write(source: Source, events: Events, folder: Path, limit: int | None = None) -> "Catalogue":
    """Write FOLDER/events and FOLDER/items, a record a line, with the times as moved.

    An item takes the time of the event that names it first, as `Source.records` has it.
    """
    encoder, catalogue = msgspec.json.Encoder(), Catalogue(titles={}, categories={})
    time_of = dict(zip(events.places.tolist(), events.times_ms.tolist(), strict=True))
    rank_of = {place: row for row, place in enumerate(events.places.tolist())}
    lines: dict[int, bytes] = {}
    place, following, waiting = -1, 0, []
    with (folder / "events").open("wb") as out, (folder / "items").open("wb") as items:
        for record in source.records(limit):
            if isinstance(record, Item):
                catalogue.add(record)
                waiting.append(record)
                continue
            place += 1
            if place not in time_of:
                continue
            for item in waiting:
                items.write(encoder.encode(_at(item, time_of[place])) + b"\n")
            waiting = []
            lines[rank_of[place]] = encoder.encode(_at(record, time_of[place])) + b"\n"
            while following in lines:
                out.write(lines.pop(following))
                following += 1
    return catalogue


def _at(record: Interaction | Item, time_ms: int) -> Interaction | Item:
    return structs.replace(record, event_time=time_ms)


class Catalogue(Struct, kw_only=True):
    """What a data set says about its items."""

    titles: dict[str, str]
    categories: dict[str, list[str]]

    def add(self, item: Item) -> None:
        """Keep what a report shows of an item."""
        self.titles[item.item_id] = item.title
        if item.categories:
            self.categories[item.item_id] = item.categories
