"""What all kinds of run share: the stack, the topics, the job, the generator, the looking."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from deploy.bench import counters, job, usage
from deploy.bench.arithmetic import Sample
from deploy.bench.generate import Open, Sent
from deploy.bench.generator import Generator
from deploy.bench.job import Names
from deploy.bench.markers import Channel, Progress
from deploy.bench.options import BenchError, BenchOptions
from deploy.bench.report import Report
from deploy.bench.settled import Reader, delete_items, settle
from deploy.cluster import Cluster
from deploy.stack import Stack, schema
from deploy.stack.services import TASKMANAGER
from jobs.settings import Recommend

_SETTLE_S = 60.0
HEALTH_S = 5.0
_SLACK_S = 1.0


class Tell(Protocol):
    """Is told how far a run is."""

    def __call__(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Takes what is being done, and a count of how much of it."""


class Bench:
    """A run on a stack that runs.

    Args:
        stack: The stack.
        options: Of the run.
        tell: Is told how far it is.
        config: Settings file of the job.
    """

    def __init__(
        self, stack: Stack, options: BenchOptions, tell: Tell, config: Path | None = None
    ) -> None:
        self.stack, self.options, self.tell = stack, options, tell
        started = datetime.now(UTC)
        self.names = Names(started.strftime("%Y%m%d-%H%M%S"))
        self.plan = job.plan_of(stack, self.names, config, options.sets)
        assert isinstance(self.plan.settings, Recommend)
        self.settings = self.plan.settings
        self.cluster = Cluster(stack.flink_rest_url)
        self.cores = len(os.sched_getaffinity(0))
        self.job_id = ""
        self.report = Report(
            kind="", started_at=started.isoformat(timespec="seconds"), tenant=self.names.tenant,
            machine=usage.machine(), options=options, stack=stack.settings, job=self.settings,
        )  # fmt: skip
        self.generator: Generator
        self.channel: Channel
        self.progress: Progress
        self.offsets: job.Offsets
        self.session: Any

    @contextmanager
    def opened(self) -> Iterator["Bench"]:
        """Topics, generator and connections for the time of the run.

        Raises:
            BenchError: A job runs, or the load cannot be made.
        """
        job.require_idle(self.cluster)
        stack, options = self.stack, self.options
        with ExitStack() as closing:
            self.session = closing.enter_context(
                schema.connected(stack.cassandra_hosts, stack.cassandra_port)
            )
            closing.callback(self._clean_up)
            partitions = job.create_topics(stack, self.names)
            self.channel = Channel(
                stack.kafka_bootstrap, self.names, self.session, stack.settings.keyspace,
                self.settings.cassandra.surface,
            )  # fmt: skip
            self.progress = Progress(self.channel, partitions)
            self.offsets = job.Offsets(stack, self.names, partitions)
            closing.callback(self.offsets.close)
            self.tell("starting the generator")
            self.generator = closing.enter_context(
                Generator(
                    Open(
                        bootstrap=stack.kafka_bootstrap, events_topic=self.names.events,
                        items_topic=self.names.items, tenant=self.names.tenant,
                        synthetic=options.synthetic, source=options.source,
                        rate_per_s=options.rate or 1000.0,
                        shape=options.shape if options.flat else None,
                    )
                )
            )  # fmt: skip
            yield self

    def submit(self) -> None:
        """Start the job."""

        def report(service: str, text: str, *, done: bool = False) -> None:
            self.tell(f"{service}: {text}")

        self.job_id = job.submit(self.stack, self.cluster, self.plan, report)

    def take(self) -> Sample:
        """Counters and usage now."""
        services = [use.service for use in self.stack.processes()]
        ports = [
            port
            for name in services
            if name.startswith(TASKMANAGER) and (port := self.stack.settings.metrics_port(name))
        ]
        return Sample(
            at_s=time.monotonic(),
            counters=counters.scrape(ports, self.job_id),
            usage=usage.look(self.stack, {"generator": self.generator.pid, "bench": os.getpid()}),
        )

    def mark(self) -> None:
        """Put markers behind all that was sent so far."""
        self.progress.mark(self.offsets.get())

    def catalogue(self) -> None:
        """Send the items."""
        self.tell("sending items")
        self.channel.item = self.generator.catalogue().item or self.channel.item

    def fill(self, events: int) -> None:
        """Send events as fast as Kafka takes them."""
        self.tell(f"sending {events:,} events at full speed")
        sent = self._send(events, None)
        if sent.seconds > 0:
            per_s = sent.events / sent.seconds
            self.report.generator_per_s = max(per_s, self.report.generator_per_s or 0.0)

    def lead_in(self, rate_per_s: float, seconds: float) -> None:
        """Send at a rate for a time, and let what comes then come upon what is under way."""
        self.tell(f"sending {rate_per_s:,.0f} events/s for {seconds:,.0f} s before the measurement")
        self._send(round(rate_per_s * seconds), rate_per_s)

    def _send(self, events: int, rate_per_s: float | None) -> Sent:
        sent = self.generator.send(events, rate_per_s)
        self.channel.item = sent.item or self.channel.item
        if sent.exhausted and sent.events < events:
            msg = f"the data set ends after {sent.events} events, {events} are asked for"
            raise BenchError(msg)
        return sent

    def warm_up(self, events: int) -> None:
        """Fill histories and neighbourhoods, and wait until all of it is served."""
        self.catalogue()
        began_s = time.monotonic()
        if events:
            self.fill(events)
        self.report.warmup_events = events
        self.mark()
        ended_s = self.wait("working off the warm-up")
        if events:
            self.report.warmup_per_s = events / (ended_s - began_s)
        self.rest()

    def wait(self, text: str) -> float:
        """Wait until all that was marked is readable; gives the monotonic time of that."""
        total = float(sum(self.offsets.get()))
        looked_s = 0.0

        def heard(passed: int) -> None:
            nonlocal looked_s
            self.tell(text, passed, total)
            if time.monotonic() - looked_s > HEALTH_S:
                self.require_healthy()
                looked_s = time.monotonic()

        return self.progress.wait(self.options.patience_s, heard)

    def require_healthy(self) -> None:
        """Refuse to go on once the job has failed: what it repeats would be measured too.

        Raises:
            BenchError: It has, with the cause.
        """
        if why := job.failures(self.cluster, self.job_id):
            msg = f"recommend failed while it was measured:\n{why}"
            raise BenchError(msg)

    def rest(self) -> None:
        """Let coalesced rows be written."""
        self.tell("waiting for coalesced rows")
        time.sleep(self.settings.settle_ms / 1000 + _SLACK_S)

    def settle(self) -> None:
        """Hold all rows against what was sent, and close the report."""
        self.tell("comparing rows with what was sent")
        with tempfile.TemporaryDirectory() as folder:
            totals = self.generator.totals(Path(folder))
        keyspace, surface = self.stack.settings.keyspace, self.settings.cassandra.surface
        reader = Reader(self.session, keyspace, self.names.tenant, surface)
        self.report.completeness = settle(reader, {**totals, **self.channel.totals}, _SETTLE_S)
        self.report.failures = job.failures(self.cluster, self.job_id)

    def _clean_up(self) -> None:
        if self.job_id:
            self.tell("ending the job")
            self.cluster.cancel(self.job_id)
        if not self.options.keep:
            self.tell("deleting topics and item rows")
            job.delete_topics(self.stack, self.names)
            delete_items(self.session, self.stack.settings.keyspace, self.names.tenant)


def run_on(bench: Bench, kind: tuple[str, Callable[[Bench], None]]) -> Report:
    """Open a bench, do what is asked for, settle; gives the report."""
    bench.report.kind, work = kind
    with bench.opened():
        work(bench)
        bench.settle()
    return bench.report
