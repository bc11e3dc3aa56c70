"""Tells whether a live job has worked through its topics: a checkpoint covers all that was sent.

A job commits its Kafka offsets when a checkpoint is complete, and a checkpoint is complete when
its barrier has passed every task behind the sources. So once the committed offsets have reached
the topics' ends, all before them is in the state or in Cassandra, but for what waits in a
micro-batch of a fraction of a second. Flink's own counters would say so later (they are renewed
every ten seconds) and would say less: how far the sources are, not the stages.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from deploy.cluster import ClusterError
from deploy.errors import HeadwaterError
from jobs.access import python_client
from jobs.settings import Kafka

TIMEOUT_S = 10.0
ATTEMPTS = 5
STALL_S = 300.0
COORDINATOR_TIMEOUT_S = 60.0


class CatchUpError(HeadwaterError):
    """Kafka does not tell how far the job is."""


class Checkpoints(Protocol):
    """What is used of `deploy.cluster.Cluster`."""

    def checkpoint(self, job_id: str) -> None:
        """Takes one and waits for it."""


class Lag:
    """Records of a job's topics that no completed checkpoint covers.

    Args:
        consumer: Of `confluent_kafka`, in the job's group; it reads nothing and joins nothing.
        topics: Their names.
    """

    def __init__(self, consumer: Any, topics: Sequence[str]) -> None:
        self._consumer, self._topics = consumer, topics

    def __call__(self) -> tuple[int, int]:
        """Records that are left, and all there are.

        Raises:
            CatchUpError: Kafka does not answer.
        """
        from confluent_kafka import KafkaException, TopicPartition

        left = total = 0
        try:
            for topic in self._topics:
                partitions = self._consumer.list_topics(topic, TIMEOUT_S).topics[topic].partitions
                wanted = [TopicPartition(topic, number) for number in partitions]
                for place in self._consumer.committed(wanted, TIMEOUT_S):
                    low, high = self._consumer.get_watermark_offsets(place, TIMEOUT_S)
                    left += high - min(high, max(low, place.offset))
                    total += high - low
        except KafkaException as error:
            msg = f"Kafka does not tell how far the job is: {error.args[0].str()}"
            raise CatchUpError(msg) from error
        return left, total


@contextmanager
def lag_of(kafka: Kafka, topics: Sequence[str] = ()) -> Iterator[Lag]:
    """The lag of a job on topics, or else its events and items; the connection is closed after."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            **python_client(kafka),
            "group.id": kafka.group,
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        yield Lag(consumer, topics or [kafka.events, kafka.items])
    finally:
        consumer.close()


def until_caught_up(
    cluster: Checkpoints,
    job_id: str,
    lag: Callable[[], tuple[int, int]],
    show: Callable[[int, int], object],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take checkpoints until one covers all there is.

    Offsets are committed shortly after a checkpoint, so the first look comes after the second
    one: until then they may be those of before a restart.

    Args:
        cluster: Takes checkpoints.
        job_id: Of the job.
        lag: Records left, and all of them.
        show: Hears of records done, and all of them.
        clock: Seconds that only grow.

    Raises:
        ClusterError: Checkpoints fail again and again.
        CatchUpError: Nothing moves any more.
    """
    patient = Retrying(
        stop=stop_after_attempt(ATTEMPTS), wait=wait_fixed(1),
        retry=retry_if_exception_type(ClusterError), reraise=True,
    )  # fmt: skip
    patient(cluster.checkpoint, job_id)
    least, moved_s = sys.maxsize, clock()
    while least:
        patient(cluster.checkpoint, job_id)
        left, total = lag()
        show(total - left, total)
        if left < least:
            least, moved_s = left, clock()
        elif clock() - moved_s > STALL_S:
            msg = f"{left:,} records are left and none was worked through for {STALL_S:.0f} s"
            raise CatchUpError(msg)


def forget_offsets(kafka: Kafka) -> None:
    """Delete the offsets that a job's group has committed: for a job that begins anew.

    It commits the offset of a partition once it has read of it; until then the offset of an
    earlier run would say that the partition is done.

    Raises:
        CatchUpError: Kafka does not answer or refuses.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    settings: dict[str, str | int | float | bool] = {
        **python_client(kafka),
        "log_level": 0,
    }
    # A new Kafka makes the topic of the offsets at the first question about one.
    early = {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
    tries = Retrying(
        stop=stop_after_delay(COORDINATOR_TIMEOUT_S), wait=wait_fixed(0.5), reraise=True,
        retry=retry_if_exception(lambda error: _code(error) in early),
    )  # fmt: skip
    # A client that nobody holds is closed, and its answers never come.
    admin = AdminClient(settings)

    def delete() -> None:
        found = admin.delete_consumer_groups([kafka.group], request_timeout=TIMEOUT_S)
        found[kafka.group].result()

    try:
        tries(delete)
    except KafkaException as error:
        if _code(error) != KafkaError.GROUP_ID_NOT_FOUND:
            msg = (
                f"the offsets of group {kafka.group} at Kafka {kafka.bootstrap} cannot be deleted: "
                f"{error.args[0].str()}"
            )
            raise CatchUpError(msg) from error


def _code(error: BaseException) -> int | None:
    """Kafka's number of an error."""
    code = getattr(error.args[0], "code", None) if error.args else None
    return code() if callable(code) else None
