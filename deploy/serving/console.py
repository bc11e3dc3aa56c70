"""The reading commands: rows in, tables or JSON out."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console, RenderableType
from rich.live import Live

from deploy.connections import plan
from deploy.serving import erasure, tables, view
from deploy.serving.store import Store, opened
from deploy.serving.view import ShownList
from operators.trending import ALL

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


def erase(config: Path | None, tenant: str, user: str, *, wait: bool) -> int:
    """Ask for the erasure of a user; with `wait`, until no row is left."""
    planned, console = plan(config), Console()
    with opened(planned.cassandra) as store:
        if not store.knows(tenant, user):
            console.print(f"Nothing is stored of {user}; the request is sent nevertheless.")
        client = erasure.connect(planned.kafka)
        event = erasure.ask(client, planned.kafka.events, tenant, user, now_ms())
        console.print(
            f"Sent {event.event_id}: forget {user} up to {tables.instant(event.event_time)}."
        )
        if wait:
            with console.status("waiting for the rows to go"):
                took_s = erasure.until_gone(lambda: store.knows(tenant, user), user)
            console.print(f"No row of {user} is left ({took_s:.1f} s).")
    return 0


def _print(shown: Any, render: Callable[[Any], RenderableType], *, as_json: bool) -> None:
    console = tables.wide_console()
    if as_json:
        console.file.write(msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n")
    else:
        console.print(render(shown))


def _unknown(text: str) -> int:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return 1
