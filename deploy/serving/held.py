"""What the topics hold on a user, and how much of it can be taken out of them.

Kafka cannot remove a single record from the middle of a topic. What this leaves:

- Compacted topics hold items, features and weights: nothing of a user.
- Dead letters hold records as they came. They are rewritten: what mentions the user is left out,
  the rest is sent once more, then everything before it is deleted. A crash in between leaves a
  letter twice and never loses one.
- Events, signals of texts and outcomes stay until their retention is over. An `erase` event stands
  behind them, so that whoever reads the topic again forgets the user again.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.records import records
from jobs.access import python_client
from jobs.settings import Kafka

TIMEOUT_S = 20.0


class HeldError(HeadwaterError):
    """Kafka does not delete what it holds, or take it anew."""


class Held(Struct, frozen=True, kw_only=True):
    """One record that is about a user, decoded; `key` as text."""

    topic: str
    partition: int
    offset: int
    key: str
    value: Any


class Removed(Struct, frozen=True, kw_only=True):
    """Dead letters that were taken out, and how many stay."""

    letters: int
    kept: int


def topics_of(kafka: Kafka) -> list[str]:
    """Topics that may hold something of a user."""
    named = [kafka.events, kafka.text_signals, kafka.outcomes, kafka.dead_letters]
    return [topic for topic in named if topic]


def is_about(value: Any, tenant: str, user: str) -> bool:
    """Whether a record of the contract is about a user."""
    return (
        isinstance(value, dict)
        and user in (value.get("user_id"), value.get("session_id"))
        and value.get("tenant", "default") == tenant
    )


def mentions(letter: Any, user: str) -> bool:
    """Whether a dead letter, its raw record or its reason, names a user.

    The raw record may be broken JSON, so it is searched for the id as a whole string, or as a
    number where an id belongs: user 42 is not named by a price of 42 or by user 421. One that is
    nothing like JSON names a user by the word.
    """
    if not isinstance(letter, dict):
        return False
    raw = base64.b64decode(letter.get("raw") or b"")
    quoted = {f'"{user}"'.encode(), json.dumps(user).encode()}
    place = rb'"(?:user_id|session_id)"\s*:\s*' if raw.lstrip()[:1] == b"{" else rb"(?<![\w.])"
    bare = place + re.escape(user.encode()) + rb"(?![\w.])"
    named = any(text in raw for text in quoted) or re.search(bare, raw) is not None
    reason = str(letter.get("reason", ""))
    return named or any(f"{mark}{user}{mark}" in reason for mark in "`'\"")


def records_of(
    kafka: Kafka,
    tenant: str,
    user: str,
    show: Callable[[int], object] = lambda _: None,
    topics: Sequence[str] = (),
) -> Iterator[Held]:
    """Every record that is about a user, topic by topic, up to the ends of now.

    Args:
        kafka: Where.
        tenant: Whose.
        user: Who.
        show: Hears of records read.
        topics: To read; all that may hold something if none is named.

    Raises:
        UnreadError: Kafka does not answer.
    """
    for done, message in enumerate(records(kafka, topics or topics_of(kafka)), 1):
        show(done)
        try:
            value = json.loads(message.value() or b"null")
        except ValueError:
            continue
        letters = message.topic() == kafka.dead_letters
        if mentions(value, user) if letters else is_about(value, tenant, user):
            yield Held(
                topic=message.topic(), partition=message.partition(), offset=message.offset(),
                key=(message.key() or b"").decode("utf-8", "replace"), value=value,
            )  # fmt: skip


def rewrite_dead_letters(kafka: Kafka, user: str) -> Removed:
    """Take the letters that mention a user out of the topic; does nothing if there are none.

    Raises:
        HeldError: Kafka refuses.
        UnreadError: It does not answer.
    """
    from confluent_kafka import Producer

    messages = list(records(kafka, [kafka.dead_letters]))
    kept = [one for one in messages if not mentions(_decoded(one.value()), user)]
    if len(kept) == len(messages):
        return Removed(letters=0, kept=len(kept))
    failures: list[str] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    sender = Producer(
        {**python_client(kafka), "log_level": 0, "message.max.bytes": 16_000_000,
         "message.timeout.ms": round(1000 * TIMEOUT_S)}
    )  # fmt: skip
    for one in kept:
        sender.produce(
            kafka.dead_letters, one.value(), key=one.key(), partition=one.partition(),
            on_delivery=delivered,
        )  # fmt: skip
    if sender.flush(2 * TIMEOUT_S) or failures:
        msg = f"the dead letters could not be rewritten: {failures or 'no answer'}; none is gone"
        raise HeldError(msg)
    _delete_before(kafka, messages)
    return Removed(letters=len(messages) - len(kept), kept=len(kept))


def _decoded(raw: bytes | None) -> Any:
    try:
        return json.loads(raw or b"null")
    except ValueError:
        return None


def _delete_before(kafka: Kafka, messages: Sequence[Any]) -> None:
    """Delete everything up to the last of these, in each partition."""
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient

    ends: dict[int, int] = {}
    for one in messages:
        ends[one.partition()] = max(ends.get(one.partition(), 0), one.offset() + 1)
    places = [TopicPartition(kafka.dead_letters, number, end) for number, end in ends.items()]
    admin = AdminClient({**python_client(kafka), "log_level": 0})
    try:
        for future in admin.delete_records(places).values():
            future.result(TIMEOUT_S)
    except KafkaException as error:
        msg = (
            f"the dead letters were written anew, but the old ones could not be deleted: "
            f"{error.args[0].str()}; call erase again"
        )
        raise HeldError(msg) from error
