"""Checks whether this machine can run Headwater, and says what to do where it cannot."""

import importlib
import importlib.metadata
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.errors import HeadwaterError
from deploy.stack import Stack, jars, java, monitoring, ports, services
from deploy.stack.settings import StackSettings, load_settings, memory_mb

Level = Literal["ok", "warn", "fail"]
COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
PYTHON = (3, 11)
MAVEN = (3, 6, 3)
MIN_DISK_GB, GOOD_DISK_GB = 2, 10
MIN_FILES = 10_000
PROVEN_CONNECTORS = {("5.0.0-2.2", "2.3")}
"""Connectors that run on a Flink newer than the one they were released for, tried by our tests."""


class Check(NamedTuple):
    """One thing looked at: how it is, what was found, and what to do if that is not enough."""

    name: str
    level: Level
    found: str
    advice: str = ""


def check_system() -> Check:
    """Linux, since processes are followed through ``/proc``."""
    found = platform.system()
    if found == "Linux":
        return Check("system", "ok", found)
    return Check("system", "fail", found, "use Linux, or deploy/compose.yaml with Docker")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Exactly Python 3.11: what PyFlink's pinned wheels are built for."""
    found = ".".join(map(str, version))
    if version[:2] == PYTHON:
        return Check("Python", "ok", found)
    return Check("Python", "fail", found, "make the environment with Python 3.11: make install")


def check_java(settings: StackSettings) -> Check:
    """Exactly Java 17."""
    found = java.candidate(settings.java_home)
    if found is None:
        return Check("Java", "fail", "none", java.ADVICE)
    version = java.version_of(found)
    level: Level = "ok" if version == java.REQUIRED else "fail"
    return Check(
        "Java", level, f"{version or 'unreadable'}, {found}", "" if level == "ok" else java.ADVICE
    )


def parse_maven(text: str) -> tuple[int, ...] | None:
    """Version in the output of ``mvn --version``.

    >>> parse_maven("Apache Maven 3.8.7")
    (3, 8, 7)
    """
    match = re.search(r"Apache Maven (\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(number) for number in match.groups()) if match else None


def check_maven(settings: StackSettings) -> Check:
    """Maven, needed only until the jars are fetched."""
    needed: Level = "warn" if _fetched(settings) else "fail"
    advice = "install it (Debian: apt-get install maven)"
    maven = shutil.which("mvn")
    if maven is None:
        return Check("Maven", needed, "none", advice)
    told = subprocess.run([maven, "--version"], capture_output=True, text=True, check=False)
    version = parse_maven(told.stdout)
    if version is None:
        return Check("Maven", needed, f"{maven} fails: {told.stderr.strip()[:80]}", advice)
    found = ".".join(map(str, version))
    if version < MAVEN:
        return Check("Maven", needed, found, f"at least {'.'.join(map(str, MAVEN))}: {advice}")
    return Check("Maven", "ok", found)


def check_ports(settings: StackSettings) -> Check:
    """Every port is free, or held by this very stack."""
    stack = Stack(settings)
    mine = {use.pid for use in stack.processes()}
    wanted = {one.service for one in stack.status()}
    uses = [use for use in settings.ports() if use.service in wanted]
    taken = [
        use
        for use in uses
        if not ports.is_free(use.number)
        and ((owner := ports.owner_of(use.number)) is None or owner.pid not in mine)
    ]
    numbers = ", ".join(str(use.number) for use in uses)
    if taken:
        others = ", ".join(str(use.number) for use in taken[1:])
        advice = ports.describe_taken(taken[0]) + (f". Also taken: {others}" if others else "")
        return Check("ports", "fail", numbers, advice)
    return Check("ports", "ok", f"{numbers}{' (by this stack)' if mine else ' free'}")


def needed_memory_mb(settings: StackSettings) -> int:
    """Memory of the whole stack: heaps, and for Kafka and Cassandra what lies outside them."""
    kafka, cassandra = memory_mb(settings.kafka_heap), memory_mb(settings.cassandra_heap)
    taskmanagers = settings.taskmanagers * memory_mb(settings.taskmanager_memory)
    return kafka + 200 + cassandra + 400 + memory_mb(settings.jobmanager_memory) + taskmanagers


def check_memory(settings: StackSettings, meminfo: str | None = None) -> Check:
    """Total memory fits the stack; memory free right now does so too, or this warns."""
    text = Path("/proc/meminfo").read_text("ascii") if meminfo is None else meminfo
    sizes = {name: int(kb) // 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB$", text, re.M)}
    total, free = sizes["MemTotal"], sizes["MemAvailable"]
    needed = needed_memory_mb(settings)
    found = f"{total:,} MB, {free:,} MB free, the stack takes up to {needed:,} MB"
    advice = "lower taskmanager_memory or cassandra_heap, or close something"
    if total < needed:
        return Check("memory", "fail", found, advice)
    running = bool(Stack(settings).processes())
    if free < needed and not running:
        return Check("memory", "warn", found, advice)
    return Check("memory", "ok", found)


def check_disk(settings: StackSettings) -> Check:
    """Room for jars (110 MB), Kafka's log, Cassandra's tables and checkpoints."""
    folder = settings.home_path
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 2**30
    found = f"{free_gb:,.0f} GB free in {folder}"
    if free_gb < MIN_DISK_GB:
        return Check("disk", "fail", found, f"at least {MIN_DISK_GB} GB: make room, or set home")
    if free_gb < GOOD_DISK_GB:
        return Check("disk", "warn", found, f"under {GOOD_DISK_GB} GB a long replay may fill it")
    return Check("disk", "ok", found)


def check_files() -> Check:
    """Open files allowed to a process; Cassandra and RocksDB keep many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= MIN_FILES or soft == resource.RLIM_INFINITY:
        return Check("open files", "ok", f"{soft:,}")
    return Check("open files", "warn", f"{soft:,}", f"ulimit -n {min(hard, 100_000)}")


def connector_fits(connector: str, flink: str) -> Level:
    """Whether a connector such as ``5.0.0-2.2`` runs on a Flink such as ``2.3.0``.

    Its suffix is the Flink it was released for. The same minor release is fine, a newer Flink of
    the same major only where our tests have proven it, anything else is not.

    >>> connector_fits("5.0.0-2.2", "2.3.0"), connector_fits("4.0.1-2.0", "2.3.0")
    ('ok', 'warn')
    >>> connector_fits("3.4.0-1.20", "2.3.0"), connector_fits("6.0.0-2.4", "2.3.0")
    ('fail', 'fail')
    """
    built = tuple(int(part) for part in connector.rpartition("-")[2].split("."))
    present = tuple(int(part) for part in flink.split(".")[:2])
    minor = ".".join(map(str, present))
    if built == present or (connector, minor) in PROVEN_CONNECTORS:
        return "ok"
    return "warn" if built[0] == present[0] and built < present else "fail"


def check_jars(settings: StackSettings) -> Check:
    """The connector, and Flink's own jars, against the installed Flink."""
    pins = jars.pins()
    flink, connector = (
        importlib.metadata.version("apache-flink"),
        pins["flink.kafka.connector.version"],
    )
    dist = sorted(jar.stem for jar in (services.flink_home() / "lib").glob("flink-dist-*.jar"))
    fetched = "fetched" if _fetched(settings) else "fetched at the first up"
    found = f"Flink {flink}, Kafka connector {connector} ({fetched})"
    if flink != pins["flink.version"] or dist != [f"flink-dist-{flink}"]:
        advice = f"pom.xml says Flink {pins['flink.version']}, lib has {dist}: make install"
        return Check("jars", "fail", found, advice)
    level = connector_fits(connector, flink)
    if level == "ok":
        return Check("jars", "ok", found)
    return Check("jars", level, found, "set flink.kafka.connector.version in deploy/stack/pom.xml")


def check_prometheus(settings: StackSettings) -> Check:
    """Prometheus, which watches the stack where there is one."""
    if not settings.watches:
        return Check("Prometheus", "ok", "switched off by the settings")
    found = monitoring.program()
    if found is None:
        return Check("Prometheus", "warn", "none", monitoring.ADVICE)
    return Check("Prometheus", "ok", found)


def check_library(name: str) -> Check:
    """One of the libraries that TaskManagers load where there is one."""
    found = services.library(name)
    if found is None:
        package, gain = services.TASKMANAGER_LIBRARIES[name]
        advice = f"install {name}, {gain} (Debian: apt-get install {package}); then down, up"
        return Check(name, "warn", "none", advice)
    return Check(name, "ok", found)


def check_pyflink() -> Check:
    """PyFlink and the interpreter inside the JVM can be imported."""
    try:
        importlib.import_module("pyflink.datastream")
        importlib.import_module("pemja")
    except Exception as error:
        return Check("PyFlink", "fail", f"{type(error).__name__}: {error}", "run make install")
    return Check("PyFlink", "ok", importlib.metadata.version("apache-flink"))


def check_driver() -> Check:
    """Cassandra's driver has its C event loop; the pure-Python one is not for real loads."""
    version = importlib.metadata.version("cassandra-driver")
    try:
        importlib.import_module("cassandra.io.libevwrapper")
    except ImportError as error:
        advice = "install the driver from its wheel, not from source: make install"
        return Check("Cassandra driver", "fail", f"{version}, no libev: {error}", advice)
    return Check("Cassandra driver", "ok", f"{version} with libev")


def _fetched(settings: StackSettings) -> bool:
    return jars.is_complete(jars.folder(settings.cache_path))


def examine(settings: StackSettings) -> list[Check]:
    """All checks; one that breaks counts as failed instead of hiding the others."""
    steps: list[tuple[str, Callable[[], Check]]] = [
        ("system", check_system),
        ("Python", check_python),
        ("Java", lambda: check_java(settings)),
        ("Maven", lambda: check_maven(settings)),
        ("PyFlink", check_pyflink),
        ("Cassandra driver", check_driver),
        ("jars", lambda: check_jars(settings)),
        ("Prometheus", lambda: check_prometheus(settings)),
        *((name, partial(check_library, name)) for name in services.TASKMANAGER_LIBRARIES),
        ("ports", lambda: check_ports(settings)),
        ("memory", lambda: check_memory(settings)),
        ("disk", lambda: check_disk(settings)),
        ("open files", check_files),
    ]
    return [_guarded(name, step) for name, step in steps]


def _guarded(name: str, step: Callable[[], Check]) -> Check:
    try:
        return step()
    except (HeadwaterError, importlib.metadata.PackageNotFoundError, OSError) as error:
        return Check(name, "fail", f"{type(error).__name__}: {error}", "run make install")


def run(config: Path | None) -> int:
    """Prints the table.

    Returns:
        The exit code: 1 if any check failed, else 0.
    """
    settings = load_settings(config)
    console = Console()
    with console.status("looking around"):
        checks = examine(settings)
    table = Table("check", "", "found", "what to do", box=None, pad_edge=False)
    for check in checks:
        mark = f"[{COLOURS[check.level]}]{check.level}[/]"
        table.add_row(check.name, mark, escape(check.found), escape(check.advice))
    console.print(table)
    return int(any(check.level == "fail" for check in checks))
