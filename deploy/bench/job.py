"""Topics, submission and end of the measured job: its own topics, so its own fresh state."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.bench.options import BenchError
from deploy.cluster import TERMINAL, Cluster, root_cause
from deploy.connections import Plan, plan
from deploy.launching import Launcher, command, job_file
from deploy.stack import Stack, topics
from deploy.stack.reporting import Report

JOB = "recommend"
_KAFKA_S = 20.0
_TTL_S = 86_400
TOPICS = (
    "events", "items", "item-features", "text-signals", "dead-letters", "outcomes", "strategy",
)  # fmt: skip


class Names(msgspec.Struct, frozen=True):
    """What one run calls its things."""

    run: str

    @property
    def tenant(self) -> str:
        """Tenant of all rows."""
        return f"bench-{self.run}"

    @property
    def events(self) -> str:
        """Topic."""
        return self.topics()["headwater.events"]

    @property
    def items(self) -> str:
        """Topic."""
        return self.topics()["headwater.items"]

    def topics(self) -> dict[str, str]:
        """The wire contract's topic → the run's: nothing of a run gets into the others."""
        return {f"headwater.{name}": f"headwater.bench-{self.run}.{name}" for name in TOPICS}


def require_idle(cluster: Cluster) -> None:
    """Refuse to measure beside another job.

    Raises:
        BenchError: One runs.
    """
    running = [job for job in cluster.jobs() if job.state not in TERMINAL]
    if running:
        named = ", ".join(f"{job.name} ({job.state}, {job.job_id})" for job in running)
        msg = f"Flink runs {named}: its work would be measured too; `headwater stop` it first"
        raise BenchError(msg)


def create_topics(stack: Stack, names: Names) -> int:
    """Create the run's topics with the settings of the contract's; gives the event partitions."""
    wanted = [
        topic._replace(name=names.topics()[topic.name])
        for topic in topics.read_topics(event_partitions=stack.settings.event_partitions)
        if topic.name in names.topics()
    ]
    topics.apply_topics(stack.kafka_bootstrap, wanted)
    return next(topic.partitions for topic in wanted if topic.name == names.events)


def delete_topics(stack: Stack, names: Names) -> None:
    """Delete the run's topics."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap, "log_level": 0})
    for future in admin.delete_topics(list(names.topics().values())).values():
        future.exception(30)


def plan_of(stack: Stack, names: Names, config: Path | None, sets: Sequence[str]) -> Plan:
    """The job's settings: the file's, the stack's addresses, the run's names, then the given.

    Raises:
        HeadwaterError: One is not legal, or makes the job one that cannot be measured.
    """
    own = [
        f"kafka.bootstrap={stack.kafka_bootstrap}",
        f"cassandra.port={stack.cassandra_port}",
        f"cassandra.keyspace={stack.settings.keyspace}",
        f"kafka.group={names.tenant}",
        *(
            f"kafka.{name.replace('-', '_')}={names.topics()[f'headwater.{name}']}"
            for name in TOPICS
        ),
        # Rows of a benchmark are of no use after it.
        f"cassandra.ttl_s={_TTL_S}",
    ]
    made = plan(config, [*own, *sets])
    if made.settings.clock != "live":
        msg = f"clock is {made.settings.clock}: only `live` serves rows while events come"
        raise BenchError(msg)
    return made


LEAVES_NOTHING = {
    "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION"
}
"""Checkpoints of a bench go with its job: each run would leave some hundred megabytes behind."""


def submit(stack: Stack, cluster: Cluster, plan: Plan, tell: Report) -> str:
    """Submit `recommend` and wait until all its tasks run; gives the job's id.

    Raises:
        HeadwaterError: It could not be submitted, or did not start.
    """
    launcher = Launcher(stack, cluster)
    called = command(stack.flink_home, job_file(JOB), plan.arguments, options=LEAVES_NOTHING)
    job_id = launcher.start(JOB, called, tell)
    launcher.until_running(JOB, job_id, tell)
    return job_id


def failures(cluster: Cluster, job_id: str) -> str:
    """Why the job had to start again, empty if it did not."""
    return "\n".join(root_cause(cluster.failure(job_id)))


class Offsets:
    """Records in each partition of the events' topic, asked over one connection."""

    def __init__(self, stack: Stack, names: Names, partitions: int) -> None:
        from confluent_kafka import Consumer, TopicPartition

        self._partitions = [TopicPartition(names.events, number) for number in range(partitions)]
        self._consumer = Consumer(
            {"bootstrap.servers": stack.kafka_bootstrap, "group.id": names.run, "log_level": 0}
        )

    def get(self) -> list[int]:
        """The counts now."""
        return [
            self._consumer.get_watermark_offsets(partition, timeout=_KAFKA_S)[1]
            for partition in self._partitions
        ]

    def close(self) -> None:
        """End the connection."""
        self._consumer.close()
