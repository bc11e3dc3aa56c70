"""The files of a kept release, and how its states differ from those of the present code."""

import json
import lzma
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from jobs.meaning import meaning
from jobs.settings import Recommend
from operators.meaning import changes
from operators.parameters import LearningSettings
from tests.graph import Graph, stages
from tests.upgrade.facts import Facts

PROJECT = Path(__file__).parent.parent.parent
SAVED = Path(__file__).parent / "saved"
SAVEPOINT = "savepoint.tar.xz"
LOG = PROJECT / "operators" / "README.md"
ANEW = "`make savepoint` keeps the state of the present code instead"

Values = dict[str, dict[str, dict[str, str]]]
"""Base64 of every value by stage, table and key."""


class Release(Struct, kw_only=True):
    """What is known of a kept release.

    Attributes:
        version: Of the package.
        commit: That made it.
        states: Version of each state by `<stage>-<table>`.
        settings: Those that are part of the state.
        memory: What it showed itself, turn by turn, in memory.
        services: The same on the real services.
    """

    version: str
    commit: str
    states: dict[str, int]
    settings: dict[str, str]
    memory: list[Facts]
    services: list[Facts]

    @property
    def buckets(self) -> int:
        """Of its state."""
        return int(self.settings["buckets"])


def kept() -> Release:
    """The release in `saved/`."""
    return msgspec.json.decode((SAVED / "release.json").read_bytes(), type=Release)


def graph() -> Graph:
    """All stages in memory, with every table there is."""
    return Graph(learning=LearningSettings())


def states() -> dict[str, int]:
    """Version of each state of the present code."""
    return {
        f"{stage.name}-{table}": codec.version
        for stage in stages(learning=LearningSettings())
        for table, codec in stage.codecs.items()
    }


def settings(buckets: int = Recommend().buckets) -> dict[str, str]:
    """Default settings that are part of the state, with so many buckets."""
    return dict(meaning(Recommend(buckets=buckets)).settings)


def lost(release: Release) -> list[str]:
    """What the present code does not take over from a release, each as its log has to name it.

    Whoever goes on from a savepoint keeps its number of buckets, and so do the tests.
    """
    now = states()
    raised = [f"{name} v{now[name]}" for name, version in release.states.items()
              if name in now and now[name] != version]  # fmt: skip
    gone = [name for name in release.states if name not in now]
    return [*raised, *gone, *changes(release.settings, settings(release.buckets))]


def unlogged(release: Release, log: str) -> list[str]:
    """The part of `lost` that the log does not tell of."""
    table = log.partition("| version | since | change |")[2]
    told = []
    for one in lost(release):
        name = one.split(" was ")[0]
        stage, _, version = name.rpartition(" v")
        also = rf"\bv{version} of [^|]*{re.escape(stage)}\b" if version and stage else name
        if not re.search(rf"{re.escape(name)}\b|{also}", table):
            told.append(one)
    return told


def dumped(one: Graph) -> Values:
    """The bytes of all tables."""
    return {
        stage: {
            table: {key: b64encode(value).decode() for key, value in tables.data.items()}
            for table, tables in vars(state).items()
        }
        for stage, state in one.state.items()
    }


def load(one: Graph, values: Values) -> None:
    """Put kept bytes into the tables of a graph, those of tables that are no more left out."""
    for stage, tables in values.items():
        for table, kept_values in tables.items():
            if (found := getattr(one.state.get(stage), table, None)) is not None:
                found.data.update({key: b64decode(text) for key, text in kept_values.items()})


def decoded(one: Graph) -> Iterator[tuple[str, str, Any]]:
    """State name, key and value of all there is."""
    for stage, state in one.state.items():
        for table, found in vars(state).items():
            for key, value in found.items():
                yield f"{stage}-{table}", key, value


def read_values() -> Values:
    """Of `saved/`."""
    found: Values = json.loads(lzma.decompress((SAVED / "values.json.xz").read_bytes()))
    return found


def write_values(values: Values) -> None:
    """To `saved/`."""
    text = json.dumps(values, sort_keys=True).encode()
    (SAVED / "values.json.xz").write_bytes(lzma.compress(text, preset=9))
