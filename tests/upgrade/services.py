"""The stream through the job on the real services, with savepoints between."""

import contextlib
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from deploy.drills.console import Options, opened
from deploy.drills.load import connect
from deploy.drills.rows import TABLES
from deploy.drills.scene import Names, Scene, keyspaces
from deploy.serving.store import Store
from deploy.stack import Stack
from deploy.stack.reporting import silent
from tests.upgrade import stream
from tests.upgrade.facts import Facts, differences
from tests.upgrade.stream import Sent

NAMES = Names("upgrade")
"""Of the topics and the tenant: they are part of a savepoint."""

TENANT = NAMES.tenant
SHOWN_S = 60.0
POLL_S = 0.5


class Runs:
    """Runs of the job one after the other, each from the savepoint of the one before.

    Args:
        scene: Of the first one.
        folder: Where savepoints go.
    """

    def __init__(self, scene: Scene, folder: Path) -> None:
        self._scene = scene
        self._folder = folder
        self._client = connect(scene.site.client())

    def send(self, records: list[Sent]) -> None:
        """Write records and wait until Kafka has them."""
        topics = NAMES.topics()
        for one in records:
            self._client.produce(topics[one.topic], one.value(), key=one.key)
        assert self._client.flush(60) == 0

    def start(self, savepoint: str | None, parallelism: int = 1) -> None:
        """Start the job with so many TaskManagers."""
        site = msgspec.structs.replace(self._scene.site, parallelism=parallelism)
        self._scene = Scene(site, NAMES, self._scene.keyspace, "live")
        self._scene.submit(savepoint)

    def stop(self) -> str:
        """End the job; where its savepoint is."""
        cluster = self._scene.cluster
        return cluster.stop(self._scene.job_id, self._folder.as_uri())

    def end(self) -> None:
        """End the job without a savepoint, if one runs."""
        active = self._scene.cluster.active("headwater-recommend")
        if active is not None:
            self._scene.cluster.cancel(active.job_id)

    def clear_rows(self) -> None:
        """Forget what is in Cassandra: what comes after has to come from the state."""
        for table in TABLES:
            self._scene.site.session.execute(f"TRUNCATE {self._scene.keyspace}.{table}")

    def caught_up(self) -> None:
        """Wait until all that was sent is in the state."""
        self._scene.catch_up()

    def take_turn(self, number: int) -> None:
        """Send a turn; its second part once the lists of the first are written."""
        first, second = stream.turn(TENANT, number)
        self.send(first)
        self.caught_up()
        self._wait(lambda facts: all(facts.fallback.get(user) for user in stream.USERS))
        self.send(second)
        self.caught_up()

    def settled(self) -> Facts:
        """What is shown once it does not change any more."""
        facts = self.facts()
        while True:
            time.sleep(3.0)
            now = self.facts()
            if now == facts:
                return now
            facts = now

    def shown(self, wanted: Facts) -> Facts:
        """What is shown once it is as wanted, or will not be."""
        return self._wait(lambda facts: not differences(wanted, facts))

    def facts(self) -> Facts:
        """What is in Cassandra."""
        facts, store = Facts(), Store(self._scene.site.session, self._scene.keyspace)
        for user in stream.everybody():
            row, profile = store.user_list(TENANT, user, "home"), store.profile(TENANT, user)
            if row is not None:
                items = [(one.item_id, one.source) for one in row.stored.items]
                facts.add_list(user, row.stored.generation, row.stored.fallback or "", items)
            if profile is not None:
                tags = [one.name for one in profile.tags]
                facts.add_profile(user, profile.counts, profile.recent, tags)
        return facts

    def _wait(self, condition) -> Facts:
        deadline_s = time.monotonic() + SHOWN_S
        while not condition(facts := self.facts()) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        return facts


@contextlib.contextmanager
def runs(stack: Stack, keyspace: str, folder: Path, buckets: int) -> Iterator[Runs]:
    """Topics and a keyspace for the runs, gone at the end."""
    config = folder / "headwater.toml"
    config.write_text(f"[recommend]\nbuckets = {buckets}\n", "utf-8")
    with opened(stack, config, Options(parallelism=1), silent) as site, keyspaces(site, [keyspace]):
        scene = Scene(site, NAMES, keyspace, "live")
        made = Runs(scene, folder)
        try:
            scene.make_topics()
            yield made
        finally:
            made.end()
            scene.delete_topics()


def pack(savepoint: Path, file: Path) -> None:
    """Keep a savepoint, without names and times of this machine."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(file, "w:xz", preset=9) as archive:
        archive.add(savepoint, "savepoint", filter=plain)


def unpack(file: Path, folder: Path) -> str:
    """Where the kept savepoint is now."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    return (folder / "savepoint").as_uri()
