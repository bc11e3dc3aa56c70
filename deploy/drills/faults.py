"""What can be done to a running job, each with the repair a person would make."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from deploy.drills.load import Load
from deploy.drills.poison import poison
from deploy.drills.scene import Scene, is_root
from deploy.stack import processes
from deploy.stack.services import TASKMANAGER

AWAY_S = 120.0
SLOW_S = 30.0
SLOW_STEP_S = 0.5
SLOW_SHARE = 0.9
FULL_MB = 96


class Fault(Protocol):
    """Does it, and repairs it; returns when the repair is done, not when the job has recovered."""

    def __call__(self, scene: Scene, load: Load | None) -> None:
        """The load is None in a replay."""


class Drill(Struct, frozen=True, kw_only=True):
    """A fault by name.

    Attributes:
        about: What is done, in a line.
        fault: Does it.
        replay: Whether it is done to a replay too.
        needs_root: Whether it mounts a folder.
    """

    name: str
    about: str
    fault: Fault
    replay: bool = True
    needs_root: bool = False

    def obstacle(self) -> str | None:
        """Why the drill cannot be held here."""
        if self.needs_root and not is_root():
            return "it mounts a folder of limited size, which takes root"
        return None


def _taskmanagers(scene: Scene) -> list[str]:
    named = (use.service for use in scene.site.stack.processes())
    return sorted(name for name in named if name.startswith(TASKMANAGER))


def kill_taskmanagers(scene: Scene, load: Load | None) -> None:
    """One after the other; the Python worker is left behind, as a real kill leaves it."""
    for name in _taskmanagers(scene):
        before = scene.restarts()
        scene.site.stack.kill(name, with_workers=False)
        scene.up()
        scene.wait(partial(scene.is_back, before), "the job after the loss of a TaskManager")


def kill_jobmanager(scene: Scene, load: Load | None) -> None:
    """The job is lost with it: without a coordination service nobody else knows of it."""
    scene.site.stack.kill("jobmanager")
    scene.up()
    scene.resume()


def kill_workers(scene: Scene, load: Load | None) -> None:
    """The Python processes beside TaskManagers: of the parsers, and of the sink."""
    for record in processes.load(scene.site.stack.layout.run).values():
        if record.service.startswith(TASKMANAGER):
            for member in processes.members(record):
                if member.pid != record.pid:
                    processes.send(member.pid, signal.SIGKILL)


def kill(service: str, away_s: float = 0.0) -> Fault:
    """Kill a service and bring it back, at once or after a while."""

    def fault(scene: Scene, load: Load | None) -> None:
        scene.site.stack.kill(service)
        time.sleep(away_s)
        scene.up()

    return fault


def slow_cassandra(scene: Scene, load: Load | None) -> None:
    """Let it run a tenth of the time."""
    pid = next(use.pid for use in scene.site.stack.processes() if use.service == "cassandra")
    end_s = time.monotonic() + SLOW_S
    try:
        while time.monotonic() < end_s:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(SLOW_STEP_S * SLOW_SHARE)
            os.kill(pid, signal.SIGCONT)
            time.sleep(SLOW_STEP_S * (1 - SLOW_SHARE))
    finally:
        os.kill(pid, signal.SIGCONT)


def fill_checkpoint_folder(scene: Scene, load: Load | None) -> None:
    """Leave no byte for a checkpoint until some have failed; then make room."""
    before = scene.cluster.checkpoint_counts(scene.job_id).failed
    ballast = limited_folder(scene) / "ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**20))
            file.flush()
    scene.wait(
        lambda: scene.cluster.checkpoint_counts(scene.job_id).failed > before,
        "a checkpoint that fails on a full disk",
    )
    ballast.unlink()


def limited_folder(scene: Scene) -> Path:
    """Where the checkpoints of this drill go."""
    return scene.site.stack.layout.data / "flink" / "limited"


@contextlib.contextmanager
def limited_checkpoints(scene_folder: Path) -> Iterator[Mapping[str, str]]:
    """A folder that holds so many megabytes and no more, as Flink's option."""
    scene_folder.mkdir(parents=True, exist_ok=True)
    size = f"size={FULL_MB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(scene_folder)], check=True)
    try:
        yield {"execution.checkpointing.dir": (scene_folder / "checkpoints").as_uri()}
    finally:
        subprocess.run(["umount", "--lazy", str(scene_folder)], check=True)
        scene_folder.rmdir()


DRILLS: dict[str, Drill] = {
    one.name: one
    for one in (
        Drill(
            name="worker", about="kill -9 of the Python workers of every TaskManager",
            fault=kill_workers,
        ),
        Drill(
            name="taskmanager", about="kill -9 of every TaskManager, one after the other",
            fault=kill_taskmanagers,
        ),
        Drill(
            name="jobmanager",
            about="kill -9 of the JobManager; the job goes on from its last checkpoint",
            fault=kill_jobmanager,
        ),
        Drill(
            name="poison", about="records that are made to break a job", fault=poison,
            replay=False,
        ),
        Drill(name="kafka", about="kill -9 of Kafka", fault=kill("kafka")),
        Drill(name="cassandra", about="kill -9 of Cassandra", fault=kill("cassandra")),
        Drill(
            name="cassandra-away", about=f"Cassandra away for {AWAY_S:.0f} s",
            fault=kill("cassandra", AWAY_S),
        ),
        Drill(
            name="slow-sink",
            about=f"Cassandra runs a tenth of the time for {SLOW_S:.0f} s", fault=slow_cassandra,
        ),
        Drill(
            name="disk-full", about="no room left in the folder of the checkpoints",
            fault=fill_checkpoint_folder, needs_root=True,
        ),
    )
}  # fmt: skip
"""By name, the quick ones first."""
