"""The two legs of a drill, and what they show."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct

from deploy.cluster import TERMINAL
from deploy.drills import faults, rows
from deploy.drills.faults import Drill
from deploy.drills.load import Load, Population
from deploy.drills.poison import missing_letters
from deploy.drills.scene import POLL_S, DrillError, Names, Scene, Site, now_ms

WARM_S, AFTER_S = 3.0, 5.0
FRESH_S = 2.0
COUNTED_S = 120.0
STEP_MS = 40
TOLD_MAX = 20


class Live(Struct, frozen=True, kw_only=True):
    """What the leg under a steady load showed.

    Attributes:
        sent: Events.
        wrong: What was lost or counted twice, in words; empty if nothing was.
        recovered_s: From the fault to the last moment at which the newest list was older than
            two seconds; 0 if it never was.
        stale_max_s: The oldest that the newest list ever was.
        repaired_s: What the fault and its repair took.
        caught_up_s: From the last event until a checkpoint covered all.
        restarts: Returns to a checkpoint, of the run at the end.
    """

    sent: int
    wrong: Sequence[str]
    recovered_s: float
    stale_max_s: float
    repaired_s: float
    caught_up_s: float
    restarts: int


class Replayed(Struct, frozen=True, kw_only=True):
    """What the leg through a replay showed.

    Attributes:
        rows: That were compared with those of the undisturbed replay.
        wrong: Rows that differ, in words.
        took_s: From the start of the job to its end.
        undisturbed_s: The same without a fault.
        restarts: As above.
    """

    rows: int
    wrong: Sequence[str]
    took_s: float
    undisturbed_s: float
    restarts: int


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a drill showed, why it was not held (`skipped`), or what ended it (`failed`)."""

    name: str
    about: str
    skipped: str | None = None
    failed: str | None = None
    live: Live | None = None
    replay: Replayed | None = None

    def wrong(self) -> list[str]:
        """All that was lost, differs, or did not come to an end."""
        legs = (self.live, self.replay)
        told = [text for leg in legs if leg is not None for text in leg.wrong]
        return [self.failed, *told] if self.failed else told


class Watch:
    """Looks how old the newest list is, in the background.

    Args:
        scene: Whose lists.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stopped = threading.Event()
        self._began_s = time.monotonic()
        self._newest_ms = now_ms()
        self.stale_max_s = self.recovered_s = 0.0
        self._thread = threading.Thread(target=self._work, name="drill-watch")

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(POLL_S):
            with contextlib.suppress(DrillError):
                self._scene.wait(self._look, "a look", seconds=0)
            age_s = (now_ms() - self._newest_ms) / 1000
            self.stale_max_s = max(self.stale_max_s, age_s)
            if age_s > FRESH_S:
                self.recovered_s = time.monotonic() - self._began_s

    def _look(self) -> bool:
        self._newest_ms = max(self._newest_ms, self._scene.newest_row_ms())
        return True


def live(site: Site, drills: Sequence[Drill], names: Names, keyspace: str, rate: int) -> Live:
    """Faults under a steady load, one after the other on one job, and the count at the end."""
    folder = site.stack.layout.data / "flink" / "limited"
    with contextlib.ExitStack() as closing:
        options: Mapping[str, str] = {}
        if any(one.needs_root for one in drills):
            options = closing.enter_context(faults.limited_checkpoints(folder))
        scene = Scene(site, names, keyspace, "live", options)
        population = Population(tenant=names.tenant)
        load = scene.create_topics(population)
        closing.callback(scene.delete_topics)
        closing.enter_context(scene.running())
        closing.callback(load.stop)
        load.start(rate)
        watch, repaired_s = _hit(scene, load, drills)
        site.report("drill", "counting")
        load.stop()
        ended_s = time.monotonic()
        scene.catch_up()
        caught_up_s = time.monotonic() - ended_s
        wrong = _miscounted(scene, load)
        if any(one.name == "poison" for one in drills):
            wrong += missing_letters(scene)
        return Live(
            sent=load.sent, wrong=wrong[:TOLD_MAX], recovered_s=round(watch.recovered_s, 1),
            stale_max_s=round(watch.stale_max_s, 1), repaired_s=round(repaired_s, 1),
            caught_up_s=round(caught_up_s, 1), restarts=scene.restarts(),
        )  # fmt: skip


def _hit(scene: Scene, load: Load, drills: Sequence[Drill]) -> tuple[Watch, float]:
    """Do the faults once the job is warm; what was seen, and the seconds of the last repair."""
    scene.wait(scene.has_checkpoint, "a first checkpoint")
    scene.wait(lambda: scene.newest_row_ms() > 0, "a first list")
    time.sleep(WARM_S)
    repaired_s = 0.0
    with Watch(scene) as watch:
        for one in drills:
            scene.site.report("drill", one.about)
            began_s = time.monotonic()
            one.fault(scene, load)
            repaired_s = time.monotonic() - began_s
            scene.wait(scene.is_running, "the job")
            scene.wait(partial(_is_served, scene, now_ms()), "a list of an event after the repair")
        time.sleep(AFTER_S)
    return watch, repaired_s


def _is_served(scene: Scene, since_ms: int) -> bool:
    return scene.newest_row_ms() > since_ms


def _miscounted(scene: Scene, load: Load) -> list[str]:
    """What the profiles count wrongly once they had the time to be written."""
    wrong: list[str] = []

    def right() -> bool:
        got = rows.profile_counts(scene.site.session, scene.keyspace, scene.names.tenant)
        known = {user: got[user] for user in got.keys() & set(load.population.names())}
        wrong[:] = rows.miscounted(load.expected(), known)
        return not wrong

    with contextlib.suppress(DrillError):
        scene.wait(right, "the last profiles", seconds=COUNTED_S)
    return wrong


class Reference(Struct, frozen=True, kw_only=True):
    """Topics that wait to be replayed, and the rows of a replay without a fault."""

    names: Names
    load: Load
    rows: rows.Rows
    took_s: float


@contextlib.contextmanager
def reference(site: Site, names: Names, keyspace: str, events: int) -> Iterator[Reference]:
    """Fill topics, replay them undisturbed; the topics are deleted at the end.

    Raises:
        DrillError: Even that one miscounts.
    """
    scene = Scene(site, names, keyspace, "replay")
    load = scene.create_topics(Population(tenant=names.tenant, users=300, seed=2))
    try:
        site.report("replay", f"sending {events:,} events")
        load.send_all(events, now_ms() - events * STEP_MS - 3_600_000, STEP_MS)
        site.report("replay", "undisturbed")
        with scene.running():
            began_s = time.monotonic()
            _until_finished(scene)
            took_s = time.monotonic() - began_s
        if wrong := _miscounted(scene, load):
            msg = f"the undisturbed replay miscounts: {wrong[:TOLD_MAX]}"
            raise DrillError(msg)
        found = rows.read_rows(site.session, keyspace, names.tenant)
        yield Reference(names=names, load=load, rows=found, took_s=took_s)
    finally:
        scene.delete_topics()


def replayed(site: Site, drill: Drill, wanted: Reference, keyspace: str) -> Replayed:
    """A fault on the way through a replay, and the comparison at its end.

    Raises:
        DrillError: The replay had ended before the fault.
    """
    for table in rows.TABLES:
        site.session.execute(f"TRUNCATE {keyspace}.{table}")
    folder = site.stack.layout.data / "flink" / "limited"
    with contextlib.ExitStack() as closing:
        options: Mapping[str, str] = {}
        if drill.needs_root:
            options = closing.enter_context(faults.limited_checkpoints(folder))
        scene = closing.enter_context(
            Scene(site, wanted.names, keyspace, "replay", options).running()
        )
        began_s = time.monotonic()
        scene.wait(scene.has_checkpoint, "a first checkpoint")
        if scene.cluster.job(scene.job_id).state in TERMINAL:
            msg = "the replay had ended before the fault: give it more --events"
            raise DrillError(msg)
        site.report("replay", drill.about)
        drill.fault(scene, None)
        _until_finished(scene)
        took_s, restarts = time.monotonic() - began_s, scene.restarts()
    found = rows.read_rows(site.session, keyspace, wanted.names.tenant)
    return Replayed(
        rows=len(wanted.rows), wrong=rows.differences(wanted.rows, found)[:TOLD_MAX],
        took_s=round(took_s, 1), undisturbed_s=round(wanted.took_s, 1), restarts=restarts,
    )  # fmt: skip


def _until_finished(scene: Scene) -> None:
    scene.wait(
        lambda: scene.cluster.job(scene.job_id).state in TERMINAL, "the end of the replay", 900.0
    )
    state = scene.cluster.job(scene.job_id).state
    if state != "FINISHED":
        msg = f"the replay is {state.lower()}: {scene.cluster.failure(scene.job_id)[:2000]}"
        raise DrillError(msg)
