"""The reading commands: rows in, tables or JSON out."""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console, RenderableType
from rich.live import Live

from deploy import sending
from deploy.connections import plan
from deploy.replay.progress import show_on
from deploy.serving import erasure, held, hiding, tables, view
from deploy.serving.store import Store, opened
from deploy.serving.view import ShownList
from operators.results import ALL

WATCH_EVERY_S = 0.25


class Query(Struct, frozen=True, kw_only=True):
    """Whose list, and what of it.

    Attributes:
        segment: Of the popular row that is merged in; empty for everybody's.
        exclude: Items the caller does not want.
        top: Items at the most.
    """

    tenant: str
    user: str
    surface: str = "home"
    segment: str = ""
    exclude: Collection[str] = ()
    top: int = 10


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000


def serve(store: Store, query: Query) -> ShownList:
    """Read what is stored for a user and make the list of this moment of it."""
    own = store.user_list(query.tenant, query.user, query.surface)
    shared = None
    if query.segment:
        shared = store.trending(query.tenant, f"segment:{query.segment}")
    shared = shared or store.trending(query.tenant, ALL)
    facts = store.items(query.tenant, view.mentioned(own.stored if own else None, shared))
    whose = query.tenant, query.user, query.surface
    return view.user_list(
        whose, own, shared, facts, exclude=query.exclude, top=query.top, now_ms=now_ms()
    )


@contextmanager
def store_of(config: Path | None) -> Iterator[Store]:
    """The store that the settings lead to."""
    with opened(plan(config).cassandra) as store:
        yield store


def show(config: Path | None, query: Query, *, as_json: bool, watch: bool) -> int:
    """Print a user's list once, or whenever it changes."""
    with store_of(config) as store:
        if watch:
            follow(lambda: serve(store, query), tables.wide_console(), as_json=as_json)
        else:
            _print(serve(store, query), tables.user_list, as_json=as_json)
    return 0


def follow(
    ask: Callable[[], ShownList],
    console: Console,
    *,
    as_json: bool,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Show a list and every change of it until the person has seen enough (Ctrl-C).

    A terminal shows one list with its age; elsewhere each new list is printed below the last.
    """
    live = (
        Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else None
    )
    last: tuple[Any, ...] | None = None
    try:
        if live:
            live.start()
        while True:
            shown = ask()
            if live:
                live.update(tables.user_list(shown), refresh=True)
            elif (now := (shown.items, shown.as_of_ms, shown.fallback)) != last:
                last = now
                if as_json:
                    console.file.write(msgspec.json.encode(shown).decode() + "\n")
                    console.file.flush()
                else:
                    console.print(tables.user_list(shown))
            sleep(WATCH_EVERY_S)
    except KeyboardInterrupt:
        pass
    finally:
        if live:
            live.stop()


def similar(config: Path | None, tenant: str, item: str, top: int, *, as_json: bool) -> int:
    """Print what goes with an item; exit code 1 if nothing is known."""
    with store_of(config) as store:
        row = store.similar(tenant, item)
        if row is None:
            known = store.items(tenant, [item])
            why = "nothing goes with it yet" if known else "the catalogue does not know it either"
            return _unknown(f"no similar items of {item!r} (tenant {tenant}): {why}")
        facts = store.items(tenant, view.mentioned(row) | {item})
    shown = view.similar_list(tenant, item, row, facts, top=top, now_ms=now_ms())
    _print(shown, tables.shared_list, as_json=as_json)
    return 0


def trending(config: Path | None, tenant: str, segment: str, top: int, *, as_json: bool) -> int:
    """Print a list that everybody shares; exit code 1 if there is none of that name."""
    with store_of(config) as store:
        row = store.trending(tenant, segment)
        if row is None:
            there = ", ".join(store.segments(tenant)) or "none yet"
            return _unknown(f"no list {segment!r} (tenant {tenant}); there are: {there}")
        facts = store.items(tenant, view.mentioned(row))
    shown = view.shared_list(tenant, segment, row, facts, top=top, now_ms=now_ms())
    _print(shown, tables.shared_list, as_json=as_json)
    return 0


def profile(config: Path | None, tenant: str, user: str, *, as_json: bool) -> int:
    """Print what is kept of a user; exit code 1 if nothing is."""
    with store_of(config) as store:
        found = store.profile(tenant, user)
        if found is None:
            return _unknown(f"nothing is stored of user {user!r} (tenant {tenant})")
        stand = [one.item_id for one in found.interests if one.item_id]
        facts = store.items(tenant, [*found.recent, *stand])
    shown = view.profile(tenant, user, found, facts, now_ms())
    _print(shown, tables.profile, as_json=as_json)
    return 0


def hide(
    config: Path | None, tenant: str, user: str, tags: Collection[str], shown: Collection[str]
) -> None:
    """Take tags off a user's profile, or let them come back; waits for the row."""
    planned, console = plan(config), Console(stderr=True)
    with show_on(console) as show:
        show.begin("reading what the user has set before", None)
        held_of = held.records_of(planned.kafka, tenant, user, show, [planned.kafka.events])
        records = [one.value for one in held_of]
    event = hiding.changed(records, tenant, user, tags, shown, now_ms())
    hiding.send(sending.connect(planned.kafka), planned.kafka.events, event)
    named = ", ".join(event.preferences.hidden_tags or []) or "none"
    text = f"Sent {event.event_id}: hidden tags of {user} are now: {named}."
    console.print(text, soft_wrap=True)
    with opened(planned.cassandra) as store, console.status("waiting for the profile"):
        took_s = hiding.until_hidden(lambda: store.profile(tenant, user), event)
    console.print(f"The profile follows ({took_s:.1f} s).")


class Erased(Struct, frozen=True, kw_only=True):
    """What an erasure removed, and what stays for how long.

    Attributes:
        up_to_ms: Events of the user up to then are forgotten; later ones are those of a new user.
        rows: Rows in Cassandra by table, before.
        gone_s: Seconds until no row was left; None where nobody waited.
        dead_letters: Letters taken out of their topic.
        stays: What cannot be removed, in words.
    """

    tenant: str
    user_id: str
    event_id: str
    up_to_ms: int
    rows: Mapping[str, int]
    gone_s: float | None
    dead_letters: int
    stays: Sequence[str]


STAYS = (
    "records in headwater.events, headwater.text-signals and headwater.outcomes until their "
    "retention is over; whoever reads them again reads the erasure too",
    "the time of the erasure, so that late events do not bring the user back",
    "logs, checkpoints and savepoints of before, until they are deleted",
)


def erase(config: Path | None, tenant: str, user: str, *, wait: bool, as_json: bool = False) -> int:
    """Ask for the erasure of a user; with `wait`, until no row is left. Says what was removed."""
    planned, console = plan(config), Console(stderr=as_json)
    with opened(planned.cassandra) as store:
        rows = store.rows_of(tenant, user)
        if not any(rows.values()):
            console.print(f"Nothing is stored of {user}; the request is sent nevertheless.")
        client = sending.connect(planned.kafka)
        event = erasure.ask(client, planned.kafka.events, tenant, user, now_ms())
        console.print(
            f"Sent {event.event_id}: forget {user} up to {tables.instant(event.event_time)}."
        )
        took_s = None
        if wait:
            with console.status("waiting for the rows to go"):
                took_s = erasure.until_gone(lambda: store.knows(tenant, user), user)
            console.print(f"No row of {user} is left ({took_s:.1f} s).")
    removed = held.rewrite_dead_letters(planned.kafka, user)
    console.print(f"Dead letters that named {user}: {removed.letters} removed.")
    told = Erased(
        tenant=tenant, user_id=user, event_id=event.event_id, up_to_ms=event.event_time,
        rows=rows, gone_s=took_s, dead_letters=removed.letters, stays=STAYS,
    )  # fmt: skip
    if as_json:
        _print(told, tables.user_list, as_json=True)
    else:
        console.print("What stays:")
        for text in STAYS:
            console.print(f"- {text}", soft_wrap=True)
    return 0


class Export(Struct, frozen=True, kw_only=True):
    """All that is held on a user.

    Attributes:
        lists: Rows of `recommendations`, by surface.
        profile: The row of `profiles`: what the state of the job knows, in plain words.
        records: Records in Kafka that are about the user, or, of dead letters, name the user.
    """

    tenant: str
    user_id: str
    exported_at_ms: int
    lists: Mapping[str, Any]
    profile: Any
    records: Sequence[held.Held]


def export(config: Path | None, tenant: str, user: str, out: Path | None) -> int:
    """Write all that is held on a user as JSON; exit code 1 if it is nothing."""
    planned, console = plan(config), Console(stderr=True)
    with opened(planned.cassandra) as store:
        lists = {one: store.user_list(tenant, user, one) for one in store.surfaces(tenant, user)}
        profile = store.profile(tenant, user)
    with show_on(console) as show:
        show.begin("reading the topics", None)
        records = list(held.records_of(planned.kafka, tenant, user, show))
    found = Export(
        tenant=tenant, user_id=user, exported_at_ms=now_ms(), profile=profile, records=records,
        lists={name: one.stored for name, one in lists.items() if one is not None},
    )  # fmt: skip
    text = msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")
        console.print(f"{len(lists)} lists, {len(records)} records: {out}")
    return 0 if lists or profile or records else 1


def _print(shown: Any, render: Callable[[Any], RenderableType], *, as_json: bool) -> None:
    console = tables.wide_console()
    if as_json:
        console.file.write(msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n")
    else:
        console.print(render(shown))


def _unknown(text: str) -> int:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return 1
