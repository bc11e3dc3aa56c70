"""Keeps the state of the present code: run at each release, as `make savepoint`."""

import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import msgspec

from deploy.stack import Stack, StackSettings
from deploy.stack.reporting import silent
from jobs.settings import Recommend
from tests.conftest import CACHE, free_ports, make_home, take_down
from tests.upgrade import memory, release, services, stream
from tests.upgrade.facts import Facts
from tests.upgrade.release import Release


def main() -> None:
    """Write `saved/`."""
    commit = _commit()
    graph = release.graph()
    memory.filled(graph)
    values = release.dumped(graph)
    release.write_values(values)
    resumed = release.graph()
    release.load(resumed, values)
    made = Release(
        version=version("headwater"), commit=commit, states=release.states(),
        settings=release.settings(), memory=memory.gone_on(resumed), services=_on_services(),
    )  # fmt: skip
    (release.SAVED / "release.json").write_bytes(msgspec.json.encode(made, order="sorted") + b"\n")
    print(f"state of {made.version}, commit {made.commit}, is in {release.SAVED}")


def _on_services() -> list[Facts]:
    """Keep a savepoint of the job; what it shows when it goes on from there."""
    ports = free_ports()
    settings = {"home": str(make_home()), "cache": str(CACHE), "prometheus": False, **ports}
    stack = Stack(StackSettings(**settings))
    try:
        stack.up(silent)
        with (
            tempfile.TemporaryDirectory() as folder,
            services.runs(stack, "upgrade", Path(folder), Recommend().buckets) as runs,
        ):
            records = stream.before(services.TENANT)
            catalogue = [one for one in records if "item" in one.topic]
            runs.start(None)
            runs.send(catalogue)
            runs.caught_up()
            runs.send([one for one in records if one not in catalogue])
            runs.caught_up()
            runs.settled()
            place = runs.stop()
            services.pack(
                Path(url2pathname(urlparse(place).path)), release.SAVED / release.SAVEPOINT
            )
            runs.clear_rows()
            runs.start(place)
            return [_turn(runs, number) for number in range(1, stream.TURNS + 1)]
    finally:
        take_down(stack)


def _turn(runs: services.Runs, number: int) -> Facts:
    runs.take_turn(number)
    return runs.settled()


def _commit() -> str:
    """Of the sources; marked where they differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=-changed"],
        cwd=release.PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.strip()


if __name__ == "__main__":
    main()
