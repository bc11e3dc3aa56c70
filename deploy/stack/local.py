"""The local stack: starts what is missing, stops everything, tells how it is."""

import contextlib
import fcntl
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from deploy.stack import jars, monitoring, processes, readiness, secrets, services
from deploy.stack.errors import ServiceError, StackError
from deploy.stack.java import find_java
from deploy.stack.layout import Layout
from deploy.stack.ports import require_free
from deploy.stack.processes import Record, Usage
from deploy.stack.reporting import Report, silent
from deploy.stack.services import (
    CASSANDRA,
    JOBMANAGER,
    KAFKA,
    PROMETHEUS,
    TASKMANAGER,
    Tools,
    is_flink,
)
from deploy.stack.settings import HOST, MAX_TASKMANAGERS, StackSettings
from deploy.stack.starting import Starter

State = Literal["running", "starting", "died", "stopped"]


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One service as it is now.

    Attributes:
        service: Its name.
        state: ``running`` answers, ``starting`` has a process that does not answer yet, ``died``
            has left a record and no process, ``stopped`` was never started or was taken down.
        address: Where it is reached.
        usage: Memory and CPU, while there is a process.
        log: The log file written last.
    """

    service: str
    state: State
    address: str
    usage: Usage | None = None
    log: str | None = None


class Stack:
    """Kafka, Cassandra, Flink and, where there is one, Prometheus on the loopback, in one folder.

    Safe to make as often as wanted: all state is on disk, so another ``Stack`` with the same
    settings, in this or another process, is the same stack.
    """

    def __init__(self, settings: StackSettings | None = None) -> None:
        self.settings = settings or StackSettings()
        self.layout = Layout(self.settings.home_path)
        self.kafka_bootstrap = self.settings.kafka_bootstrap
        self.cassandra_hosts = [HOST]
        self.cassandra_port = self.settings.cassandra_port
        self.flink_rest_url = self.settings.flink_rest_url

    # --- starting -------------------------------------------------------------------------

    def up(
        self, report: Report = silent, taskmanagers: int | None = None, *, secure: bool = False
    ) -> list[str]:
        """Starts what is missing, waits until all of it serves, creates topics and tables.

        A TaskManager whose Python cannot start any more is replaced.

        Args:
            report: Told each step.
            taskmanagers: How many to have; ``None`` means the setting. One that died is
                replaced in any case.
            secure: Make it a stack with TLS, passwords and roles; it stays one until it is wiped.

        Returns:
            Names of the services that were started; empty if all of them ran.

        Raises:
            StackError: A port is taken, the jars could not be fetched, or a service did not start.
                What did start keeps running.
        """
        with self._locked(report):
            records = self._records()
            self._retire(records, report)
            wanted = self._wanted(records, taskmanagers)
            missing = [name for name in wanted if not self._alive(records, name)]
            self._clean_up_after(records, missing)
            require_free(use for use in self.settings.ports() if use.service in missing)
            starter = self._starter(report)
            if secure:
                secrets.make(self.layout, starter.tools.java_home)
            config = services.prepare_flink(self.settings, self.layout, starter.tools)
            flinks = [name for name in wanted if is_flink(name)]
            monitoring.follow(flinks, self.settings, self.layout)
            try:
                _all_of(
                    starter.kafka,
                    starter.cassandra,
                    lambda: starter.flink(flinks, config),
                    starter.prometheus,
                )
            except KeyboardInterrupt:
                starter.cancelled.set()
                raise
            return missing

    def ensure_taskmanagers(self, count: int, report: Report = silent) -> list[str]:
        """Starts as many TaskManagers as it takes for ``count`` of them to live.

        Returns:
            Names of those that were started.

        Raises:
            StackError: The JobManager does not run, or a TaskManager did not start.
        """
        with self._locked(report):
            records = self._records()
            if not self._alive(records, JOBMANAGER):
                msg = "the JobManager does not run: run `headwater up` first"
                raise ServiceError(msg)
            self._retire(records, report)
            names = [name for name in self._wanted(records, count) if is_flink(name)]
            monitoring.follow(names, self.settings, self.layout)
            missing = [name for name in names if not self._alive(records, name)]
            self._clean_up_after(records, missing)
            require_free(use for use in self.settings.ports() if use.service in missing)
            starter = self._starter(report)
            config = services.prepare_flink(self.settings, self.layout, starter.tools)
            starter.flink(names, config)
            return missing

    def _retire(self, records: dict[str, Record], report: Report) -> None:
        """End the TaskManagers that live and cannot run Python: they count as died."""
        if not self._alive(records, JOBMANAGER):
            return
        broken = readiness.without_python(self.flink_rest_url)
        for record in records.values():
            if record.resource_id in broken and processes.alive(record):
                report(record.service, "its Python did not start: begins anew")
                processes.stop(record, self.settings.stop_timeout_s)

    def _wanted(self, records: dict[str, Record], taskmanagers: int | None) -> list[str]:
        count = self.settings.taskmanagers if taskmanagers is None else taskmanagers
        if count > MAX_TASKMANAGERS:
            msg = f"{count} TaskManagers asked for, at most {MAX_TASKMANAGERS} are supported"
            raise StackError(msg)
        names = {f"{TASKMANAGER}{number}" for number in range(1, count + 1)}
        names.update(name for name in records if name.startswith(TASKMANAGER))
        last = [PROMETHEUS] if monitoring.wanted(self.settings) or PROMETHEUS in records else []
        return [KAFKA, CASSANDRA, JOBMANAGER, *sorted(names, key=_number), *last]

    def _starter(self, report: Report) -> Starter:
        java_home = find_java(self.settings.java_home)
        flink = services.flink_home()
        cache = self.settings.cache_path
        if not jars.is_complete(jars.folder(cache)):
            fetched = jars.ensure(cache, java_home, lambda text: report("packages", text))
            report("packages", f"in {fetched}", done=True)
        tools = Tools(java_home, jars.folder(cache), flink, Path(sys.executable))
        return Starter(self.settings, self.layout, tools, report, threading.Event())

    # --- stopping -------------------------------------------------------------------------

    def down(
        self, report: Report = silent, *, wipe: bool = False, wipe_cache: bool = False
    ) -> list[str]:
        """Stops everything: Flink first, so that no job writes to a service that is leaving.

        Args:
            report: Told each step.
            wipe: Also forget data, checkpoints, logs and configuration.
            wipe_cache: Also forget the fetched jars.

        Returns:
            Names of the services that had something running.

        Raises:
            ServiceError: A process could not be killed.
        """
        if not self.layout.home.exists():
            return []
        with self._locked(report):
            records = self._records()
            stopped = [name for name, record in records.items() if processes.members(record)]
            stores = [records[name] for name in (KAFKA, CASSANDRA) if name in records]
            self._stop([record for record in records.values() if record not in stores], report)
            self._stop(stores, report)
            self.layout.wipe_tmp()
            if wipe:
                self.layout.wipe()
        if wipe_cache:
            shutil.rmtree(self.settings.cache_path, ignore_errors=True)
        return stopped

    def kill(self, service: str, *, with_workers: bool = True) -> int:
        """Kills a service with SIGKILL, as a fault drill; ``up`` brings it back.

        Args:
            service: Its name, such as ``taskmanager-1``.
            with_workers: Whether its Python workers die with it, as in a container.

        Returns:
            The process id that was killed.

        Raises:
            ServiceError: The service does not run.
        """
        record = self._records().get(service)
        if record is None or not processes.alive(record):
            msg = f"{service} does not run, running are {[u.service for u in self.processes()]}"
            raise ServiceError(msg)
        processes.send(record.pid, signal.SIGKILL)
        while processes.alive(record):
            time.sleep(processes.POLL_S)
        if with_workers:
            processes.kill_session(record)
        return record.pid

    def _stop(self, records: list[Record], report: Report) -> None:
        def one(record: Record) -> None:
            report(record.service, "stopping")
            if not processes.stop(record, self.settings.stop_timeout_s):
                left = [stat.pid for stat in processes.members(record)]
                msg = f"{record.service}: processes {left} survived SIGKILL: see `ps -o pid,stat`"
                raise ServiceError(msg)
            processes.forget(record.service, self.layout.run)
            report(record.service, "stopped", done=True)

        _all_of(*(lambda record=record: one(record) for record in records))

    def _clean_up_after(self, records: dict[str, Record], names: Iterable[str]) -> None:
        """Kills Python workers that outlived their TaskManager."""
        for name in names:
            if name in records and not processes.kill_session(records[name]):
                msg = f"{name}: its workers survived SIGKILL: run `headwater down`"
                raise ServiceError(msg)

    # --- looking --------------------------------------------------------------------------

    def status(self) -> list[ServiceStatus]:
        """Every service that should be there or has left a record, in starting order."""
        records = self._records()
        return [self._status(name, records.get(name)) for name in self._wanted(records, None)]

    def _status(self, name: str, record: Record | None) -> ServiceStatus:
        addresses = {
            KAFKA: self.kafka_bootstrap,
            CASSANDRA: f"{HOST}:{self.cassandra_port}",
            JOBMANAGER: self.flink_rest_url,
        }
        if name == PROMETHEUS:
            addresses[PROMETHEUS] = monitoring.page(self.settings)
        state: State = "stopped"
        usage = None
        if record is not None:
            usage = processes.usage(record)
            state = "died" if usage is None else "starting"
            if usage is not None and readiness.answers(record, self.settings):
                state = "running"
        log = readiness.log_file(name, self.layout)
        return ServiceStatus(
            service=name,
            state=state,
            address=addresses.get(name, ""),
            usage=usage,
            log=str(log) if log else None,
        )

    def processes(self) -> list[Usage]:
        """Memory and CPU of every running service, Python workers included."""
        found = (processes.usage(record) for record in self._records().values())
        return [usage for usage in found if usage is not None]

    @property
    def flink_home(self) -> Path:
        """Flink's home; its ``bin/flink`` is called with ``flink_env()``."""
        return services.flink_home()

    @property
    def secure(self) -> bool:
        """Whether it is one with TLS, passwords and roles."""
        return secrets.is_secure(self.layout)

    def flink_env(self) -> dict[str, str]:
        """Environment to call ``$FLINK_HOME/bin/flink`` with, so that it finds this stack.

        Raises:
            StackError: The stack was never started, or there is no Java.
        """
        if not (self.layout.conf / "flink" / "config.yaml").is_file():
            msg = f"no Flink configuration in {self.layout.conf}: run `headwater up` first"
            raise ServiceError(msg)
        java_home = find_java(self.settings.java_home)
        tools = Tools(
            java_home,
            jars.folder(self.settings.cache_path),
            services.flink_home(),
            Path(sys.executable),
        )
        return services.flink_environment(self.layout, tools)

    # --- records --------------------------------------------------------------------------

    def _records(self) -> dict[str, Record]:
        return processes.load(self.layout.run)

    def _alive(self, records: dict[str, Record], name: str) -> bool:
        return name in records and processes.alive(records[name])

    @contextlib.contextmanager
    def _locked(self, report: Report) -> Iterator[None]:
        """Keeps two commands from changing the same stack at once."""
        self.layout.make()
        with (self.layout.home / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("stack", "waiting for another headwater command")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _number(taskmanager: str) -> int:
    return int(taskmanager.removeprefix(TASKMANAGER))


def _all_of(*tasks: Callable[[], None]) -> None:
    """Runs all tasks at once, waits for all, and raises their errors as one.

    Raises:
        StackError: One task's own error, or the texts of several.
    """
    if not tasks:
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(task) for task in tasks]
    errors = [error for future in futures if (error := future.exception())]
    for error in errors:
        if not isinstance(error, StackError):
            raise error
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ServiceError("\n".join(str(error) for error in errors))
