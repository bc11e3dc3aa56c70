"""Starts one service each: launch it unless it runs, wait until it serves, apply the contract."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from deploy.stack import (
    grants,
    monitoring,
    processes,
    readiness,
    schema,
    secrets,
    services,
    topics,
)
from deploy.stack.errors import ServiceError
from deploy.stack.layout import Layout
from deploy.stack.processes import Record
from deploy.stack.reporting import Report
from deploy.stack.services import CASSANDRA, JOBMANAGER, KAFKA, PROMETHEUS, Launch, Tools
from deploy.stack.settings import HOST, StackSettings
from operators.flink.cores import keep_process


class Starter(NamedTuple):
    """What it takes to start a service; its methods may run at once.

    Attributes:
        settings: The stack's settings.
        layout: Its folders.
        tools: Java, jars, Flink and Python.
        report: Told each step.
        cancelled: Set when the person has given up waiting.
    """

    settings: StackSettings
    layout: Layout
    tools: Tools
    report: Report
    cancelled: threading.Event

    def kafka(self) -> None:
        """Kafka, then the topics of the wire contract."""
        launch = services.kafka(self.settings, self.layout, self.tools)
        record = self._running(launch)
        if record is None:
            self.report(KAFKA, "starting")
            services.format_kafka(launch, self.layout)
            record = self._start(launch)
        bootstrap, client = self.settings.kafka_bootstrap, secrets.kafka_client(self.layout)
        self._wait(lambda: readiness.kafka_answers(bootstrap, client), record)
        wanted = topics.read_topics(event_partitions=self.settings.event_partitions)
        topics.apply_topics(
            bootstrap, wanted, warn=lambda text: self.report(KAFKA, text), client=client
        )
        if client:
            admin = {"bootstrap.servers": bootstrap, **client}
            grants.grant_kafka(admin, grants.passwords_of(self.layout))
        self.report(
            KAFKA, f"ready on {self.settings.kafka_bootstrap}, {len(wanted)} topics", done=True
        )
        self._leave_to_stages(record)

    def cassandra(self) -> None:
        """Cassandra, then the tables of the wire contract.

        Raises:
            ServiceError: It did not start, or the vectors have another length than the settings.
        """
        launch = services.cassandra(self.settings, self.layout, self.tools)
        record = self._running(launch)
        if record is None:
            self.report(CASSANDRA, "starting")
            record = self._start(launch)
        self._wait(lambda: readiness.listens(self.settings.cassandra_port), record)
        keyspace, dimensions = self.settings.keyspace, self.settings.vector_dimensions
        admin, port = secrets.login(self.layout, secrets.ADMIN), self.settings.cassandra_port
        if admin is not None:
            grants.take_over(self.layout, port)
        with schema.session_of(admin, [HOST], port) as session:
            schema.apply_schema(session, schema.read_statements(keyspace, dimensions))
            if admin is not None:
                grants.grant_cassandra(session, keyspace, grants.passwords_of(self.layout))
            present = schema.vector_dimensions(session, keyspace)
        if present != dimensions:
            msg = (
                f"table {keyspace}.item_features holds vectors of {present} numbers, the setting "
                f"vector_dimensions is {dimensions}: set it back, or run down --wipe"
            )
            raise ServiceError(msg)
        address = f"{HOST}:{self.settings.cassandra_port}"
        self.report(CASSANDRA, f"ready on {address}, keyspace {keyspace}", done=True)
        self._leave_to_stages(record)

    def flink(self, names: Sequence[str], config: str) -> None:
        """The named Flink processes at once, then waits until each is known to the JobManager.

        Args:
            names: ``jobmanager`` and ``taskmanager-N``.
            config: Fingerprint of the configuration they read.
        """
        started: list[Record] = []
        for name in names:
            launch = services.flink_process(name, config, self.settings, self.layout, self.tools)
            record = self._running(launch)
            if record is None:
                self.report(name, "starting")
                record = self._start(launch)
            started.append(record)
        for record in started:
            self._wait(partial(readiness.answers, record, self.settings), record)
            where = f" on {self.settings.flink_rest_url}" if record.service == JOBMANAGER else ""
            self.report(record.service, f"ready{where}", done=True)

    def prometheus(self) -> None:
        """Prometheus, with the rules and the page of this project; nothing where there is none."""
        if not monitoring.wanted(self.settings):
            if self.settings.watches:
                self.report(PROMETHEUS, f"not here: {monitoring.ADVICE}", done=True)
            return
        launch = monitoring.launch(self.settings, self.layout)
        record = self._running(launch)
        if record is None:
            self.report(PROMETHEUS, "starting")
            record = self._start(launch)
        self._wait(partial(readiness.answers, record, self.settings), record)
        self.report(PROMETHEUS, f"ready on {monitoring.page(self.settings)}", done=True)

    def _leave_to_stages(self, record: Record) -> None:
        """Keep a service off the cores of the stages; not before it is up, which takes them all."""
        others = services.cores_beside(self.settings.taskmanagers, services.own_cores())
        if others:
            keep_process(record.pid, others)

    def _running(self, launch: Launch) -> Record | None:
        record = processes.load(self.layout.run).get(launch.service)
        if record is None or not processes.alive(record):
            return None
        if record.config != launch.config:
            self.report(launch.service, "runs with older settings: down, then up to apply the new")
        return record

    def _start(self, launch: Launch) -> Record:
        record = processes.spawn(
            launch.service,
            launch.command,
            launch.env,
            self.layout.logs(launch.service) / "output.log",
            mark=f"{self.layout.home}#{launch.service}",
        )
        record = msgspec.structs.replace(
            record, config=launch.config, resource_id=launch.resource_id
        )
        processes.save(record, self.layout.run)
        return record

    def _wait(self, probe: Callable[[], bool], record: Record) -> None:
        def asked() -> bool:
            if self.cancelled.is_set():
                msg = f"gave up waiting for {record.service}; `headwater down` stops it"
                raise ServiceError(msg)
            return probe()

        readiness.wait_until(asked, record, self.layout, self.settings.start_timeout_s)
