"""`headwater demo`: real events through the real services, one click, the list before and after.

Then a second job reads texts: see `demonstration_texts`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.rule import Rule

from deploy import demonstration_texts, doctor, launching, submit
from deploy.catching_up import Lag, lag_of, until_caught_up
from deploy.cluster import Cluster
from deploy.connections import Plan, plan
from deploy.errors import HeadwaterError
from deploy.replay.pace import Pace
from deploy.replay.produce import Producer, connect
from deploy.replay.progress import show_on
from deploy.replay.readers import Source, open_source
from deploy.replay.run import replay
from deploy.serving import tables
from deploy.serving.console import Query, serve
from deploy.serving.store import Store, opened
from deploy.serving.view import ShownItem, ShownList
from deploy.stack import Stack
from deploy.stack.reporting import reporter
from jobs.access import python_client
from jobs.settings import Kafka
from operators.events import Item
from operators.reading import StoredList

JOB, TENANT, SURFACE = "recommend", "default", "home"
DATA = Path(__file__).parent / "demo" / "ml-latest-small"
EVENTS_OF_USER = range(50, 201)
FILMS_ASKED = 60
NEIGHBOURS_MIN = 10
POLL_S = 0.01
QUIET_S = 3.0
ANSWER_TIMEOUT_S = 60.0


class DemoError(HeadwaterError):
    """The demonstration did not show what it should."""


class Film(Struct, frozen=True):
    """The film that is clicked."""

    item_id: str
    title: str


class Taste(Struct, frozen=True):
    """What the data set says: the films of each user, the users in order of their last event."""

    films: Mapping[str, Collection[str]]
    users: Sequence[str]
    by_popularity: Sequence[str]
    genres: Mapping[str, Sequence[str]] = {}


def run(config: Path | None, user: str | None, *, down: bool) -> int:
    """Shows it.

    Returns:
        The exit code: 0 if the list after the click differs and holds nothing the user knows, a
        new film is listed for what its description says, and a review changes the profile.

    Raises:
        HeadwaterError: Something is missing on the way.
    """
    console = tables.wide_console()
    planned = plan(config, [demonstration_texts.CONTENT_PLACE])
    stack = Stack(planned.stack)
    if not _healthy(planned, console):
        return 1
    job_id = _start(stack, planned, console)
    source = _read(console)
    with lag_of(planned.kafka) as lag:
        _send(source, stack, planned, lag, console)
        _catch_up(stack, lag, job_id, console)
    with opened(planned.cassandra) as store:
        taste = taste_of(source)
        good = _click(store, taste, user, planned, console)
        demonstration_texts.start(stack, config, console)
        good &= _texts(store, taste, user, planned, console)
    _farewell(stack, console, down=down)
    return 0 if good else 1


# --- the stack, the job, the data -------------------------------------------------------------


def _healthy(planned: Plan, console: Console) -> bool:
    """Whether nothing stands in the way; what does is printed."""
    console.print(Rule("machine", align="left"))
    with console.status("looking around"):
        found = [check for check in doctor.examine(planned.stack) if check.level != "ok"]
    for check in found:
        text = f"{check.name}: {check.found}: {check.advice}"
        console.print(text, style=doctor.COLOURS[check.level], markup=False, soft_wrap=True)
    good = all(check.level != "fail" for check in found)
    if good:
        console.print("ready" if not found else "good enough")
    return good


def _start(stack: Stack, planned: Plan, console: Console) -> str:
    """Brings up what is missing; gives the job's id."""
    console.print(Rule("Kafka, Cassandra, Flink", align="left"))
    with reporter(console) as report:
        stack.up(report)
    console.print(Rule(f"job {JOB}", align="left"))
    active = Cluster(stack.flink_rest_url).active(launching.flink_name(JOB))
    if active is not None:
        console.print(f"{active.state.lower()} already, as {active.job_id}")
        return active.job_id
    file = launching.job_file(JOB)
    with reporter(console) as report:
        return submit.launch(JOB, file, planned, submit.Options(), stack, report, console)


def _read(console: Console) -> Source:
    console.print(Rule("MovieLens ml-latest-small", align="left"))
    with show_on(console) as show:
        show.begin("reading the data set", None)
        return open_source(DATA, None, show)


def _send(source: Source, stack: Stack, planned: Plan, lag: Lag, console: Console) -> None:
    """Sends the data set, unless a demonstration on this stack has done so."""
    report = source.report
    marker = stack.layout.data / "demo.json"
    told = {"data": DATA.name, "events": report.events, "items": report.items}
    sent_before = marker.is_file() and json.loads(marker.read_text("utf-8")) == told
    if sent_before and lag()[1] >= report.events + report.items:
        console.print(f"its {report.events:,} ratings are in Kafka already")
        return
    with show_on(console) as show:
        show.begin("sending ratings and films to Kafka", report.events)
        producer = Producer(connect(planned.kafka.bootstrap, python_client(planned.kafka)))
        replay(source, producer, Pace(None), on_sent=lambda sent: show(sent.events))
        if producer.flush():
            msg = f"{producer.failed} records did not reach Kafka: {producer.first_failure}"
            raise DemoError(msg)
    marker.write_text(json.dumps(told), "utf-8")
    console.print(
        f"{report.events:,} ratings of {report.users:,} users, {report.items:,} films, "
        f"{tables.instant(report.first_ms)[:10]} to {tables.instant(report.last_ms)[:10]}"
    )


def _catch_up(stack: Stack, lag: Lag, job_id: str, console: Console) -> None:
    began_s = time.monotonic()
    with show_on(console) as show:
        show.begin("working through all of it in Flink", lag()[1])
        cluster = Cluster(stack.flink_rest_url)
        until_caught_up(cluster, job_id, lag, lambda done, _: show(done))
    console.print(f"all of it is worked through ({time.monotonic() - began_s:.0f} s)")


# --- who and what -----------------------------------------------------------------------------


def taste_of(source: Source) -> Taste:
    """Who has rated what."""
    films: dict[str, set[str]] = {}
    last_ms: dict[str, int] = {}
    counts: Counter[str] = Counter()
    genres: dict[str, Sequence[str]] = {}
    for record in source.records():
        if isinstance(record, Item):
            genres[record.item_id] = record.categories
        if isinstance(record, Item) or not (record.user_id and record.item_id):
            continue
        films.setdefault(record.user_id, set()).add(record.item_id)
        last_ms[record.user_id] = record.event_time
        counts[record.item_id] += 1
    return Taste(
        films=films,
        users=sorted(last_ms, key=lambda user: (-last_ms[user], user)),
        by_popularity=sorted(counts, key=lambda item: (-counts[item], item)),
        genres=genres,
    )


def choose_user(
    taste: Taste, wanted: str | None, serves: Callable[[str], bool] = lambda _: True
) -> str:
    """The wanted user, or the newest one with a history of middling length who serves.

    Raises:
        DemoError: The data set has no such user.
    """
    if wanted is not None and wanted not in taste.films:
        msg = f"the data set has no user {wanted!r}; users are 1 to {len(taste.films)}"
        raise DemoError(msg)
    middling = (
        user for user in taste.users if len(taste.films[user]) in EVENTS_OF_USER and serves(user)
    )
    return wanted or next(middling, taste.users[0])


def choose_film(
    taste: Taste,
    user: str,
    similar: Callable[[str], StoredList | None],
    untouched: Callable[[str], bool],
    listed: Collection[str],
) -> str:
    """A well-known film that is new to the user and leads to many others that are, too.

    Of the most rated films, the one whose neighbours would change the list the most: by the sum
    of their similarities, without those that the user has rated or is being shown.

    Args:
        taste: The data set.
        user: Who clicks.
        similar: Neighbours of a film.
        untouched: Whether the user has not met a film, for example in an earlier demonstration.
        listed: What the user is being shown.

    Raises:
        DemoError: There is none.
    """
    rated = taste.films[user]
    best: tuple[float, str] | None = None
    candidates = [one for one in taste.by_popularity if one not in rated and untouched(one)]
    for film in candidates[:FILMS_ASKED]:
        row = similar(film)
        fresh = [one for one in row.items if one.item_id not in rated] if row else []
        if len(fresh) < NEIGHBOURS_MIN:
            continue
        worth = sum(one.score for one in fresh if one.item_id not in listed)
        if best is None or worth > best[0]:
            best = worth, film
    if best is None:
        msg = f"no film is left that user {user} has not met; try --user, or down --wipe"
        raise DemoError(msg)
    return best[1]


# --- before, click, after ---------------------------------------------------------------------


def _click(store: Store, taste: Taste, wanted: str | None, planned: Plan, console: Console) -> bool:
    """Shows the list, clicks, shows what became of it; whether that is as it should be."""
    user = choose_user(taste, wanted)
    query = Query(tenant=TENANT, user=user, surface=SURFACE)
    before = settled(lambda: serve(store, query))
    own = store.user_list(TENANT, user, SURFACE)
    if own is None:
        msg = f"user {user} has no list although all events are worked through: see Flink's page"
        raise DemoError(msg)
    listed = {one.item_id for one in before.items}
    film_id = choose_film(
        taste, user, lambda one: store.similar(TENANT, one), lambda one: one not in own.seen, listed
    )
    film = Film(film_id, store.items(TENANT, [film_id])[film_id].title)
    console.print(Rule(f"user {user}, {len(taste.films[user])} ratings: BEFORE", align="left"))
    console.print(tables.user_list(before))
    took_ms = send_like(user, film, planned.kafka, lambda: _as_of_ms(store, user))
    after = serve(store, query)
    marks = moves(before.items, after.items)
    console.print(Rule(f"user {user} likes {film.title}: AFTER", align="left"))
    console.print(tables.user_list(after, marks))
    console.print(f"[bold]{took_ms} ms[/] from the event to the readable row")
    known = {*taste.films[user], film.item_id}
    return _judged(before, after, known, console)


def _texts(store: Store, taste: Taste, wanted: str | None, planned: Plan, console: Console) -> bool:
    """Publishes a film like one that somebody is about to like; lets the same one write of that.

    It is somebody who has written nothing yet, so that a second time shows as much as the first.
    """
    silent = demonstration_texts.said_of(None)
    user = choose_user(
        taste, wanted,
        lambda one: demonstration_texts.said_of(store.profile(TENANT, one)) == silent,
    )  # fmt: skip
    query = Query(tenant=TENANT, user=user, surface=SURFACE)
    own = store.user_list(TENANT, user, SURFACE)
    known = own.seen if own else ()
    film_id = choose_film(
        taste, user, lambda one: store.similar(TENANT, one), lambda one: one not in known, ()
    )
    film = Film(film_id, store.items(TENANT, [film_id])[film_id].title)

    genres, now_ms = taste.genres.get(film_id, ()), time.time_ns() // 1_000_000
    new = demonstration_texts.new_film(film.title, genres, now_ms)

    def act() -> ShownList:
        console.print(f"user {user} likes {film.title}", markup=False)
        send_like(user, film, planned.kafka, lambda: _as_of_ms(store, user))
        return demonstration_texts.until_listed(lambda: serve(store, query), new.item_id)

    listed = demonstration_texts.show_new_film(new, planned, act, console)
    title = film.title
    return demonstration_texts.show_review(store, user, film_id, title, planned, console) and listed


def settled(
    ask: Callable[[], ShownList],
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ShownList:
    """The list, once it has stood unchanged for `QUIET_S`: micro-batches may be under way."""
    shown, since_s = ask(), clock()
    while clock() - since_s < QUIET_S:
        sleep(0.1)
        if (now := ask()).items != shown.items:
            shown, since_s = now, clock()
    return shown


def like(user: str, item: str, now_ms: int) -> dict[str, object]:
    """The event as any program would send it."""
    return {
        "kind": "interaction",
        "event_id": f"demo-{user}-{item}-{now_ms}",
        "event_time": now_ms,
        "user_id": user,
        "item_id": item,
        "action": "like",
    }


def send_like(user: str, film: Film, kafka: Kafka, as_of_ms: Callable[[], int]) -> int:
    """Sends the event and waits for a list that knows of it.

    Returns:
        Milliseconds from the event's time until the row was readable.

    Raises:
        DemoError: No list comes.
    """
    from confluent_kafka import Producer as Client

    client = Client({**python_client(kafka), "linger.ms": 0})
    # What a running program has long done: the first record would wait for the topic's leader.
    client.list_topics(kafka.events, 10)
    event_ms = time.time_ns() // 1_000_000
    client.produce(kafka.events, json.dumps(like(user, film.item_id, event_ms)), key=user)
    client.poll(0)
    deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
    while as_of_ms() < event_ms:
        if time.monotonic() > deadline_s:
            msg = f"no new list of user {user} after {ANSWER_TIMEOUT_S:.0f} s: see Flink's page"
            raise DemoError(msg)
        time.sleep(POLL_S)
    took_ms = time.time_ns() // 1_000_000 - event_ms
    client.flush(ANSWER_TIMEOUT_S)
    return took_ms


def _as_of_ms(store: Store, user: str) -> int:
    row = store.user_list(TENANT, user, SURFACE)
    return row.stored.as_of_ms if row else 0


def moves(before: Sequence[ShownItem], after: Sequence[ShownItem]) -> dict[str, str]:
    """What became of the places, by item: `new`, `↑2` up, `↓1` down, or nothing."""
    places = {one.item_id: one.rank for one in before}
    marks = {}
    for one in after:
        step = places.get(one.item_id, 0) - one.rank
        moved = f"{'↑' if step > 0 else '↓'}{abs(step)}" if step else ""
        marks[one.item_id] = moved if one.item_id in places else "new"
    return marks


def _judged(before: ShownList, after: ShownList, known: Collection[str], console: Console) -> bool:
    """Whether the list is another one and holds nothing the user knows; says why not."""
    repeated = [one.title for one in after.items if one.item_id in known]
    same = [one.item_id for one in before.items] == [one.item_id for one in after.items]
    if repeated:
        console.print(f"[red]the list holds what the user knows: {', '.join(repeated)}[/]")
    if same:
        console.print("[red]the click has not changed the list[/]")
    return not repeated and not same


def _farewell(stack: Stack, console: Console, *, down: bool) -> None:
    if down:
        with reporter(console) as report:
            stack.down(report)
        return
    console.print(Rule("what next", align="left"))
    for command, does in (
        ("headwater show 42", "the list of another user; --watch follows it"),
        ("headwater similar 2571", "what goes with The Matrix"),
        ("headwater trending category:Drama", "what is popular"),
        ("headwater profile 42", "what is kept of a user"),
        ("headwater erase 42 --wait", "forget a user"),
        ("headwater profile 42 --hide drama", "a tag the user does not want to be known for"),
        ("headwater stop recommend", "end the job with a savepoint"),
        ("headwater down", "end all of it and keep the data; --wipe forgets them"),
    ):
        console.print(f"  {command:<36}{does}", highlight=False)
    console.print(f"  {stack.flink_rest_url:<36}Flink's page", highlight=False)
