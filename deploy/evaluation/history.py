"""`headwater history`: what the list of a user was at a time.

Nothing is looked up: no store keeps old lists. The events up to that time go through the job in a
replay, which gives the same lists every time, and its last rows are read as a reader would have.
It takes the events from their beginning (a data set, or topics that still hold them), the settings
of then, and the time of a replay.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deploy.connections import plan
from deploy.evaluation import evaluate as work
from deploy.evaluation import runner, stream, topics
from deploy.evaluation.evaluate import Options
from deploy.evaluation.sources import EvaluationError
from deploy.evaluation.stream import Catalogue
from deploy.replay.progress import Show
from deploy.serving import view
from deploy.serving.store import ItemFacts, UserList
from deploy.serving.view import ShownList
from jobs.settings import Recommend
from operators.reading import StoredList
from operators.results import ALL, ForgetRow, ListRow, TrendingRow
from operators.rows import Row, items_of
from operators.seen import SeenFilter


def parse_time(text: str) -> int:
    """UTC epoch milliseconds of a time in ISO 8601 (UTC unless it says else) or in milliseconds.

    >>> parse_time("1970-01-01T00:00:01"), parse_time("1500000000000")
    (1000, 1500000000000)

    Raises:
        EvaluationError: It is neither.
    """
    if text.isdigit() and len(text) > len("20180924"):
        return int(text)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--at {text}: a time like 2018-09-24T14:05 or milliseconds since 1970 is expected"
        raise EvaluationError(msg) from error
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


class Past(NamedTuple):
    """A list, and what a replay of it could not take in."""

    shown: ShownList
    notes: list[str]


def list_at(
    place: Path | None, whose: tuple[str, str], at_ms: int, options: Options, show: Show, top: int
) -> Past:
    """The list of a user at a time.

    Args:
        place: A data set; None for the topics of the settings.
        whose: Tenant and user.
        at_ms: The time.
        options: Of the run.
        show: Hears how far it is.
        top: Items at the most.

    Raises:
        EvaluationError: Nothing had happened yet, or the topics cannot be read.
    """
    with work.folder_of(options.keep) as folder:
        if place is None:
            settings, catalogue, notes = _of_topics(folder, whose[0], at_ms, options, show)
        else:
            settings, catalogue, notes = _of_data(place, folder, at_ms, options, show)
        rows: list[Row] = []
        show.begin("running the job", None)
        follow = runner.Follower(folder / "rows", list[Row], rows)
        runner.run(folder, work.arguments(options, "rows"), lambda: show(follow.read()))
        follow.read()
    return Past(shown(rows, whose, at_ms, catalogue, settings, top), notes)


_Taken = tuple[Recommend, Catalogue, list[str]]
"""Settings of the run, what was written, and what could not be."""


def _of_data(place: Path, folder: Path, at_ms: int, options: Options, show: Show) -> _Taken:
    settings = work.settings_of(options)
    source, events = work.take(place, options, settings, show)
    before = np.flatnonzero(events.times_ms <= at_ms)
    if not len(before):
        raise EvaluationError(_nothing_before(str(place), int(events.times_ms[0])))
    catalogue = stream.write(source, events.take(before), folder, options.limit)
    return settings, catalogue, source.report.notes


def _of_topics(folder: Path, tenant: str, at_ms: int, options: Options, show: Show) -> _Taken:
    planned = plan(options.config, work.overrides_of(options), Recommend)
    settings = planned.settings
    assert isinstance(settings, Recommend)
    show.begin(f"reading {settings.kafka.events}", None)
    found, catalogue = topics.fetch(settings.kafka, tenant, at_ms, folder, show)
    if not found.events:
        raise EvaluationError(_nothing_before(f"topic {settings.kafka.events}", None))
    return settings, catalogue, found.notes()


def _nothing_before(what: str, first_ms: int | None) -> str:
    if first_ms is None:
        return f"{what} holds no event up to that time; there was no list"
    first = datetime.fromtimestamp(first_ms / 1000, UTC).isoformat()
    return f"{what} begins at {first}; there was no list before"


def shown(
    rows: list[Row], whose: tuple[str, str], at_ms: int, catalogue: Catalogue,
    settings: Recommend, top: int,
) -> ShownList:  # fmt: skip
    """The newest rows of a run, merged and dressed as `headwater show` does it."""
    tenant, user = whose
    of_tenant = [one for one in rows if one.tenant == tenant]
    own = (one for one in of_tenant if isinstance(one, ListRow | ForgetRow) and one.user == user)
    shared = (one for one in of_tenant if isinstance(one, TrendingRow) and one.segment == ALL)
    mine = max(own, key=lambda one: one.written_us, default=None)
    everybody = max(shared, key=lambda one: one.written_us, default=None)
    stored = _stored(mine, settings) if isinstance(mine, ListRow) else None
    common = None
    if everybody is not None:
        as_of_ms = everybody.written_us // 1000
        common = StoredList(items=items_of(everybody), as_of_ms=as_of_ms)
    facts = {item: ItemFacts(title) for item, title in catalogue.titles.items()}
    return view.user_list(
        (tenant, user, settings.cassandra.surface), stored, common, facts, exclude=(), top=top,
        now_ms=at_ms,
    )  # fmt: skip


def _stored(row: ListRow, settings: Recommend) -> UserList:
    stored = StoredList(
        items=items_of(row), as_of_ms=row.written_us // 1000, model=settings.weights.model,
        generation=row.generation, fallback=row.fallback or None,
    )  # fmt: skip
    seen = SeenFilter(row.known)
    return UserList(stored=stored, seen=seen, variant=settings.cassandra.variant)
