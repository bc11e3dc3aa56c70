"""One job on topics and in a keyspace of its own, and what a fault may do to it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from msgspec import Struct

from deploy import launching
from deploy.catching_up import lag_of, until_caught_up
from deploy.cluster import TERMINAL, Cluster, ClusterError
from deploy.connections import Plan, plan
from deploy.drills.load import Load, Population, connect
from deploy.errors import HeadwaterError
from deploy.launching import Launcher
from deploy.savepoints import Savepoints
from deploy.stack import Stack, schema, topics
from deploy.stack.reporting import Report

JOB = "recommend"
POLL_S = 0.1
WAIT_S = 300.0
SUPERVISE_S = 10.0
CHECKPOINTS = {
    "execution.checkpointing.interval": "3s",
    "execution.checkpointing.min-pause": "1s",
}
"""More often than usual, so that a short run has some to go back to."""


class DrillError(HeadwaterError):
    """A drill could not be held, or showed that something was lost."""


class Names(Struct, frozen=True):
    """What one run of a job calls its things."""

    run: str

    def topics(self) -> dict[str, str]:
        """The wire contract's topic → the run's."""
        kinds = ("events", "items", "item-features", "text-signals", "dead-letters", "outcomes")
        return {f"headwater.{kind}": f"headwater.drill-{self.run}.{kind}" for kind in kinds}

    @property
    def tenant(self) -> str:
        """Tenant of all records."""
        return f"drill-{self.run}"


class Site(Struct, frozen=True, kw_only=True):
    """Where drills are held.

    Attributes:
        stack: It runs.
        session: Of Cassandra.
        config: Settings file.
        report: Is told each step.
        parallelism: Of the job, and so the number of TaskManagers.
    """

    stack: Stack
    session: Any
    config: Path | None
    report: Report
    parallelism: int

    def client(self) -> Mapping[str, Any]:
        """Settings of a Kafka client."""
        return {"bootstrap.servers": self.stack.kafka_bootstrap}


class Scene:
    """A job, its topics and its load.

    Args:
        site: Where.
        names: Of its topics and its tenant.
        keyspace: Where its rows go.
        clock: `live` or `replay`.
        options: Of Flink.
    """

    def __init__(
        self,
        site: Site,
        names: Names,
        keyspace: str,
        clock: str,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.site, self.names, self.keyspace, self.clock = site, names, keyspace, clock
        self.cluster = Cluster(site.stack.flink_rest_url)
        self.job_id = ""
        self.job_ids: list[str] = []
        self._options = {**CHECKPOINTS, **(options or {})}

    # --- what it is made of

    def make_topics(self) -> None:
        """Make the topics, empty."""
        named = self.names.topics()
        wanted = [
            one._replace(name=named[one.name])
            for one in topics.read_topics(event_partitions=2)
            if one.name in named
        ]
        topics.apply_topics(self.site.stack.kafka_bootstrap, wanted)

    def create_topics(self, load: Population) -> Load:
        """Make the topics and publish the catalogue."""
        self.make_topics()
        named = self.names.topics()
        made = Load(
            connect(self.site.client()), named["headwater.events"], named["headwater.items"], load
        )
        made.publish(time.time_ns() // 1_000_000 - 86_400_000)
        return made

    def delete_topics(self) -> None:
        """Delete the topics."""
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({**self.site.client(), "log_level": 0})
        for future in admin.delete_topics(list(self.names.topics().values())).values():
            future.exception(30)

    def plan(self) -> Plan:
        """Settings of the job."""
        named, stack = self.names.topics(), self.site.stack
        return plan(
            self.site.config,
            [
                f"clock={self.clock}", f"parallelism={self.site.parallelism}", "settle_ms=1000",
                f"kafka.bootstrap={stack.kafka_bootstrap}", f"kafka.group={self.names.tenant}",
                f"cassandra.port={stack.cassandra_port}", f"cassandra.keyspace={self.keyspace}",
                f"kafka.events={named['headwater.events']}",
                f"kafka.items={named['headwater.items']}",
                f"kafka.item_features={named['headwater.item-features']}",
                f"kafka.text_signals={named['headwater.text-signals']}",
                f"kafka.dead_letters={named['headwater.dead-letters']}",
                f"kafka.outcomes={named['headwater.outcomes']}",
            ],
        )  # fmt: skip

    # --- the job

    @contextlib.contextmanager
    def running(self) -> Iterator["Scene"]:
        """The job, cancelled at the end whatever happens."""
        self.submit(None)
        try:
            yield self
        finally:
            # A job that is gone, or whose Flink is, needs no end.
            with contextlib.suppress(ClusterError):
                if self.cluster.job(self.job_id).state not in TERMINAL:
                    self.cluster.cancel(self.job_id)

    def submit(self, savepoint: str | None) -> None:
        """Start the job, from the first records or from a checkpoint."""
        stack = self.site.stack
        launcher = Launcher(stack, self.cluster)
        launcher.make_room(self.site.parallelism, self.site.report)
        called = launching.command(
            stack.flink_home, launching.job_file(JOB), self.plan().arguments, savepoint,
            self._options,
        )  # fmt: skip
        self.job_id = launcher.start(JOB, called, self.site.report)
        self.job_ids.append(self.job_id)
        launcher.until_running(JOB, self.job_id, self.site.report)

    def resume(self) -> None:
        """Start the job from the newest checkpoint of the run that is lost; a replay begins anew.

        Raises:
            DrillError: It has left none.
        """
        if self.clock == "replay":
            self.submit(None)
            return
        kept = Savepoints(self.site.stack.layout)
        found = next(filter(None, (kept.checkpoint(one) for one in reversed(self.job_ids))), None)
        if found is None:
            msg = f"runs {self.job_ids} have left no checkpoint to go on from"
            raise DrillError(msg)
        self.submit(found)

    def up(self) -> None:
        """What a person does after a loss: `headwater up`."""
        self.site.stack.up(self.site.report)

    # --- looking

    def wait(self, condition: Callable[[], object], what: str, seconds: float = WAIT_S) -> float:
        """Wait until something holds; gives the seconds it took.

        Raises:
            DrillError: It does not.
        """
        began_s = looked_s = time.monotonic()
        while not _quietly(condition):
            if time.monotonic() - looked_s > SUPERVISE_S:
                self._supervise()
                looked_s = time.monotonic()
            if time.monotonic() - began_s > seconds:
                msg = f"waited {seconds:.0f} s for {what}"
                raise DrillError(msg)
            time.sleep(POLL_S)
        return time.monotonic() - began_s

    def _supervise(self) -> None:
        """What a supervisor does: TaskManagers that died by themselves are started again."""
        with contextlib.suppress(HeadwaterError):
            self.site.stack.ensure_taskmanagers(self.site.parallelism, self.site.report)

    def is_running(self) -> bool:
        """Whether all tasks run."""
        now = self.cluster.job(self.job_id)
        return bool(now.vertices) and now.state == "RUNNING" and now.ready() == len(now.vertices)

    def is_back(self, restarts: int) -> bool:
        """Whether it has gone back to a checkpoint since so many restarts and runs, or has ended.

        Until the loss of a TaskManager is noticed, all tasks seem to run.
        """
        if self.cluster.job(self.job_id).state in TERMINAL:
            return True
        return self.restarts() > restarts and self.is_running()

    def has_checkpoint(self) -> bool:
        """Whether this run has completed a checkpoint."""
        return self.cluster.checkpoint_counts(self.job_id).completed > 0

    def newest_row_ms(self) -> int:
        """Event time of the newest list of the first users."""
        users = ", ".join(f"'user-{number}'" for number in range(10))
        found = self.site.session.execute(
            f"SELECT as_of FROM {self.keyspace}.recommendations "
            f"WHERE tenant = %s AND user_id IN ({users})",
            (self.names.tenant,),
            timeout=2.0,
        )
        times = (row.as_of.replace(tzinfo=UTC).timestamp() for row in found)
        return round(1000 * max(times, default=0.0))

    def catch_up(self) -> None:
        """Wait until a checkpoint covers all that was sent."""
        with lag_of(self.plan().settings.kafka) as lag:
            until_caught_up(self.cluster, self.job_id, lag, lambda *_: None)

    def restarts(self) -> int:
        """How often the present run went back to a checkpoint."""
        return self.cluster.restarts(self.job_id)


def _quietly(condition: Callable[[], object]) -> object:
    """The answer, or False where the service that is asked is away."""
    from cassandra import DriverException
    from cassandra.cluster import NoHostAvailable

    try:
        return condition()
    except (ClusterError, DriverException, NoHostAvailable):
        return False


@contextlib.contextmanager
def keyspaces(site: Site, names: Sequence[str]) -> Iterator[None]:
    """Keyspaces with the tables of the contract, dropped at the end."""
    for name in names:
        schema.apply_schema(
            site.session, schema.read_statements(name, site.stack.settings.vector_dimensions)
        )
    try:
        yield
    finally:
        for name in names:
            site.session.execute(f"DROP KEYSPACE IF EXISTS {name}")


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000


def is_root() -> bool:
    """Whether a folder of limited size can be mounted."""
    return os.geteuid() == 0
