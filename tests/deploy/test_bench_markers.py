from types import SimpleNamespace

import pytest

from deploy.bench import markers
from deploy.bench.job import Names
from deploy.bench.markers import Probes, Progress
from deploy.bench.options import BenchError


class World:
    """A clock, and a system that serves each user some time after its event."""

    def __init__(self, delay_ms: float) -> None:
        self.now_ms = 1000.0
        self.delay_ms = delay_ms
        self.sent: dict[str, tuple[int, float]] = {}
        self.looks = 0

    def wall_ms(self) -> float:
        return self.now_ms

    def send(self, user: str, time_ms: int) -> None:
        self.sent[user] = (time_ms, self.now_ms)

    def readable(self, user: str) -> bool:
        self.looks += 1
        return self.now_ms >= self.sent[user][1] + self.delay_ms


def run(probes: Probes, world: World, ms: int, step_ms: int = 10) -> None:
    for _ in range(0, ms, step_ms):
        probes.tick()
        world.now_ms += step_ms


def test_probes_measure_from_when_they_were_due_to_when_the_row_was_seen() -> None:
    world = World(delay_ms=200)
    probes = Probes(world.send, world.readable, 2.0, world.wall_ms)
    run(probes, world, 10_000)
    found = probes.latencies()
    assert probes.sent == 20
    assert found.count == 20
    assert (found.p50_ms, found.max_ms) == (200, 200)


def test_a_probe_that_went_out_late_is_charged_for_it() -> None:
    world = World(delay_ms=200)
    probes = Probes(world.send, world.readable, 2.0, world.wall_ms)
    run(probes, world, 1000)
    world.now_ms += 3000
    run(probes, world, 1000)
    assert probes.sent == 10
    assert [time for time, _ in world.sent.values()] == [1000 + 500 * n for n in range(10)]
    assert max(probes.found_ms) == pytest.approx(3200, abs=70)


def test_probes_that_are_never_served_are_lost_and_not_forgotten() -> None:
    world = World(delay_ms=10**9)
    probes = Probes(world.send, world.readable, 1.0, world.wall_ms)
    run(probes, world, 2000)
    assert probes.tick(sending=False)
    world.now_ms += 200_000
    while probes.tick(sending=False):
        pass
    assert (probes.sent, probes.lost, probes.latencies().count) == (2, 2, 0)


def test_looking_for_many_rows_does_not_become_a_load() -> None:
    world = World(delay_ms=60_000)
    probes = Probes(world.send, world.readable, 10.0, world.wall_ms)
    run(probes, world, 30_000)
    assert world.looks <= 3000
    run(probes, world, 90_000)
    # Each of the some 600 under way is looked for every 600 ticks or so.
    assert max(probes.found_ms) <= 60_000 + 8000


class Channel:
    def __init__(self) -> None:
        self.sent: dict[str, int | None] = {}
        self.served: set[str] = set()

    def send(self, user: str, time_ms: int, partition: int | None = None) -> None:
        self.sent[user] = partition

    def flush(self) -> None:
        pass

    def readable(self, user: str) -> bool:
        return user in self.served


def test_progress_counts_the_records_before_the_last_marker_of_each_partition() -> None:
    channel = Channel()
    progress = Progress(channel, 2)
    progress.mark([100, 50])
    progress.mark([200, 80])
    assert sorted(channel.sent.values()) == [0, 0, 1, 1]
    assert progress.look() == (0, False)
    channel.served = {"marker-0000-0"}
    assert progress.look() == (100, False)
    channel.served = {"marker-0001-1"}
    assert progress.look() == (100, False)
    channel.served = {user for user, partition in channel.sent.items() if partition == 1}
    assert progress.look() == (180, False)
    channel.served = set(channel.sent)
    assert progress.look() == (280, True)
    assert progress.found == 4


def test_waiting_ends_with_the_patience() -> None:
    progress = Progress(Channel(), 1)
    progress.mark([10])
    with pytest.raises(BenchError, match="rows of only 0 records are there"):
        progress.wait(0.01)


def test_without_an_item_no_marker_goes_out_that_the_job_would_refuse() -> None:
    session = SimpleNamespace(prepare=lambda query: query)
    channel = markers.Channel("127.0.0.1:1", Names("now"), session, "headwater", "home")
    with pytest.raises(BenchError, match="give a --warmup"):
        channel.send("marker-0000-0", 1000, 0)
    assert not channel.totals
