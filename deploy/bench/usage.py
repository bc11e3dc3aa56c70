"""CPU and memory by process and thread, from /proc; the machine they run on."""

import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct, field

from deploy.bench.speed import pass_ns, usual_pass_ns
from deploy.stack import Stack, jars, processes
from deploy.stack.layout import PROJECT
from deploy.stack.services import TASKMANAGER

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("operators", "udfs", "jobs", "deploy")


class Used(Struct, frozen=True):
    """CPU time so far and memory now."""

    cpu_s: float
    rss_bytes: int


class Usage(Struct, kw_only=True):
    """A moment of the machine.

    Attributes:
        processes: By name; `taskmanager-1` is the JVM with the Python inside it, `taskmanager-1
            python` are the Python processes beside it.
        threads: CPU seconds of the TaskManagers' threads by name (at most 15 characters).
        machine_busy_s: CPU seconds of the whole machine that were not idle, whoever's.
        machine_stolen_s: CPU seconds that the machine wanted and its host gave to others.
        load_1m: Load average of the last minute.
        pass_ns: See `speed`.
    """

    processes: dict[str, Used] = field(default_factory=dict)
    threads: dict[str, float] = field(default_factory=dict)
    machine_busy_s: float = 0.0
    machine_stolen_s: float = 0.0
    load_1m: float = 0.0
    pass_ns: float = 0.0

    def ours_s(self) -> float:
        """CPU seconds of all processes named here."""
        return sum(used.cpu_s for used in self.processes.values())


def look(stack: Stack, others: Mapping[str, int]) -> Usage:
    """Look now.

    Args:
        stack: Its services are all named.
        others: Further processes by name.
    """
    busy_s, stolen_s = _machine_s()
    found = Usage(
        machine_busy_s=busy_s, machine_stolen_s=stolen_s, load_1m=os.getloadavg()[0],
        pass_ns=pass_ns(),
    )  # fmt: skip
    for record in processes.load(stack.layout.run).values():
        workers = []
        for stat in processes.members(record):
            if stat.pid == record.pid:
                found.processes[record.service] = _used([stat])
            else:
                workers.append(stat)
        if workers:
            found.processes[f"{record.service} python"] = _used(workers)
        if record.service.startswith(TASKMANAGER):
            _add_threads(found.threads, record.pid)
    for name, pid in others.items():
        if own := processes.read_stat(pid):
            found.processes[name] = _used([own])
    return found


def _used(stats: list[processes.Stat]) -> Used:
    ticks = sum(stat.cpu_ticks + stat.reaped_cpu_ticks for stat in stats)
    return Used(ticks / _TICKS_PER_S, sum(stat.rss_bytes for stat in stats))


def _add_threads(threads: dict[str, float], pid: int) -> None:
    totals: dict[str, float] = defaultdict(float, threads)
    for task in Path(f"/proc/{pid}/task").glob("*"):
        if stat := _thread(task):
            totals[stat[0]] += stat[1]
    threads.update(totals)


def _thread(task: Path) -> tuple[str, float] | None:
    """Name and CPU seconds of a thread, None if it has just ended.

    Threads of a pool differ in a number, which is left out.
    """
    try:
        text = (task / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return re.sub(r"[#-]?\d+$", "", name).strip(), (
        int(fields[11]) + int(fields[12])
    ) / _TICKS_PER_S


def _machine_s() -> tuple[float, float]:
    """CPU seconds of the machine so far: busy, and stolen by its host."""
    words = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, stolen = map(int, words)
    return (user + nice + system + irq + softirq) / _TICKS_PER_S, stolen / _TICKS_PER_S


class Machine(Struct, frozen=True, kw_only=True):
    """What it was measured on.

    Attributes:
        pass_ns: See `speed`; before anything was measured.
        code: Digest of the project's Python files: equal for equal code.
        versions: Of the software.
    """

    cores: int
    cpu: str
    memory_bytes: int
    system: str
    code: str
    versions: dict[str, str]
    pass_ns: float = 0.0


def machine() -> Machine:
    """Describe this machine and the code."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    pins = {name.removesuffix(".version"): text for name, text in jars.pins().items()}
    packages = ("headwater", "apache-flink", "cassandra-driver", "confluent-kafka", "numpy")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=cpu[1].strip() if cpu else platform.machine(),
        pass_ns=usual_pass_ns(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=f"{platform.system()} {platform.release()}",
        code=code_digest(PROJECT),
        versions={
            "python": platform.python_version(),
            **pins,
            **{name: version(name) for name in packages},
        },
    )


def code_digest(project: Path) -> str:
    """Sixteen hexadecimal digits that change when a Python file of the project does."""
    digest = sha256()
    for package in _PACKAGES:
        for file in sorted((project / package).rglob("*.py")):
            digest.update(str(file.relative_to(project)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
