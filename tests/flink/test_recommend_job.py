"""The graph of the job on a local mini cluster, against the same stages in memory."""

import json
from base64 import b64decode
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from operators.describing import featured, written
from operators.events import Border
from operators.features_wire import ItemFeatures, Named, Near, TextSignal, encode, on_wire
from operators.flink.payload import unpack
from operators.messages import SOURCES, Outcome
from operators.parameters import LearningSettings
from operators.results import ListRow, ProfileRow, SimilarRow
from operators.rows import Row
from tests.builders import event, listing
from tests.flink.programs import json_lines, run_program
from tests.graph import Graph

pytestmark = pytest.mark.flink

START_MS = 1_500_000_000_000
ROWS = msgspec.msgpack.Decoder(list[Row])
OUTCOMES = msgspec.msgpack.Decoder(list[Outcome])


def run(*runs: tuple[Path, list[str]]) -> None:
    """Run the job over each folder with its settings, all in one process."""
    told = json.dumps([(str(folder), overrides) for folder, overrides in runs])
    run_program("local_recommend.py", runs[0][0], told, timeout_s=600)


def rows_in(folder: Path) -> list[Row]:
    """All rows in the order they would have been written."""
    lines = (folder / "rows").read_text().splitlines() if (folder / "rows").exists() else []
    return [row for line in lines for row in unpack(ROWS, line)]


def write(
    folder: Path, events: list, items: list, *raw: bytes, features: Sequence = (),
    signals: Sequence = (),
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(one) for one in events]
    (folder / "events").write_bytes(b"\n".join([*lines, *raw]) + b"\n")
    (folder / "items").write_bytes(b"\n".join(msgspec.json.encode(one) for one in items) + b"\n")
    for name, records in (("features", features), ("signals", signals)):
        if records:
            (folder / name).write_bytes(b"\n".join(map(encode, records)) + b"\n")


def traffic(users: int = 12, items: int = 25, rounds: int = 6) -> tuple[list, list]:
    """Users who like the items of their own half; several events a second."""
    catalogue = [listing(f"i{n}", START_MS, categories=[f"c{n % 3}"]) for n in range(items)]
    events, now_ms = [], START_MS
    for turn in range(rounds):
        for user in range(users):
            now_ms += 137
            item = (user % 2) * (items // 2) + (user * 5 + turn * 7) % (items // 2)
            action = ("view", "like", "purchase")[(user + turn) % 3]
            number = f"{turn:02d}-{user:02d}"
            events.append(event(f"u{user}", f"i{item}", now_ms, action, event_id=number))
    return events, catalogue


def contents(items: int = 25) -> list[ItemFeatures]:
    """Items whose numbers are near say the like; the last three come after most of the events."""
    found = []
    for n in range(items):
        angles = np.arange(8) * (n + 1) / 5
        vector = np.cos(angles) / np.linalg.norm(np.cos(angles))
        near = [Near(f"i{m}", round(1 / (1 + abs(n - m)), 3)) for m in range(items) if m != n]
        near.sort(key=lambda one: -one.similarity)
        late_ms = 8000 if n >= items - 3 else 0
        found.append(
            ItemFeatures(
                item_id=f"i{n}", event_time=START_MS + late_ms, model="m/1",
                vector=on_wire(vector.astype("f4")), language="en", topics=[],
                tags=[Named(f"t{n % 4}", 0.5)], sentiment=0.0, neighbours=near[:4],
            )
        )  # fmt: skip
    return found


def texts(events: list) -> list[TextSignal]:
    """What some users wrote with every fifth event, not in order of time."""
    return [
        TextSignal(
            event_id=one.event_id, event_time=one.event_time, user_id=one.user_id,
            item_id=one.item_id, language="en", sentiment=(-1.0, 0.5)[n % 2],
            emotions={"joy": 0.5}, topics=[], tags=[Named(f"w{n % 3}", 0.5)], vector=[],
            action="comment",
        )
        for n, one in enumerate(events[::-5])
    ]  # fmt: skip


def lists(rows: list[Row]) -> dict[str, list[ListRow]]:
    """Each user's lists in order of generation."""
    found = defaultdict(list)
    for row in rows:
        if isinstance(row, ListRow):
            found[row.user].append(row)
    return {user: sorted(mine, key=lambda row: row.generation) for user, mine in found.items()}


LEARNING = LearningSettings(period_ms=2000, delay_ms=1000)
LEARN = ("learning.period_ms=2000", "learning.delay_ms=1000")


def outcomes_in(folder: Path) -> list[Outcome]:
    lines = (folder / "outcomes").read_text().splitlines()
    found = [one for line in lines for one in unpack(OUTCOMES, line)]
    return sorted(found, key=lambda one: one.event_id)


def in_memory(
    events: list, items: list, features: list, window_ms: int
) -> tuple[dict[str, list[ListRow]], list[Outcome]]:
    windows = defaultdict(list)
    for record in [*items, *events]:
        windows[record.event_time // window_ms].append(record)
    for record in features:
        message = featured(b"", encode(record), 0, 2**50, Border())
        windows[record.event_time // window_ms].append(message)
    for record in texts(events):
        message = written(encode(record), 2**50, Border())
        windows[record.event_time // window_ms].append(message)
    graph, rows, outcomes = Graph(learning=LEARNING), [], []
    for _, window in sorted(windows.items()):
        outs = graph.run(window)
        rows += [out.message for out in outs["rows"]]
        outcomes += [out.message for out in outs["outcomes"]]
    return lists(rows), sorted(outcomes, key=lambda one: one.event_id)


@pytest.fixture(scope="module")
def replays(tmp_path_factory):
    """A folder with the traffic replayed at parallelism 1 and 2, and one with a late event."""
    folder = tmp_path_factory.mktemp("replays")
    events, items = traffic()
    said = {"features": contents(), "signals": texts(events)}
    write(folder / "one", events, items, b"{not json", **said)
    write(folder / "two", events, items, **said)
    many = [event("u", f"i{n % 40}", START_MS + n * 20) for n in range(100)]
    late = event("late", "i1", START_MS + 1)
    write(folder / "late", [*many, late], [listing("i1", START_MS)])
    run(
        (folder / "one", ["clock=replay", "parallelism=1", "popular_ms=1000", *LEARN]),
        (folder / "two", ["clock=replay", "parallelism=2", *LEARN]),
        (folder / "late", ["clock=replay", "parallelism=1", "disorder_ms=0"]),
    )
    return folder


def test_a_replay_gives_the_lists_of_the_stages_in_memory(replays):
    """With the weights learned on the way, and the outcomes they are learned from."""
    (events, items), rows = traffic(), rows_in(replays / "one")
    expected, outcomes = in_memory(events, items, contents(), 1000)
    assert lists(rows) == expected
    assert outcomes_in(replays / "one") == outcomes
    models = {row.model for mine in expected.values() for row in mine}
    assert "itemcf-1" in models
    assert len(models) > 2
    similar = [row for row in rows if isinstance(row, SimilarRow)]
    assert {source for row in similar for source in row.sources} == {0, SOURCES.index("content")}
    profiles = [row for row in rows if isinstance(row, ProfileRow)]
    assert {name for row in profiles for name, _, said in row.tags if said is not None} == {
        "w0", "w1", "w2",
    }  # fmt: skip
    assert any(row.mood for row in profiles)


def test_a_replay_at_parallelism_two_gives_the_same_rows_byte_for_byte(replays):
    rows, again = rows_in(replays / "one"), rows_in(replays / "two")
    encode = msgspec.msgpack.encode
    assert rows
    assert sorted(map(encode, again)) == sorted(map(encode, rows))
    assert outcomes_in(replays / "two") == outcomes_in(replays / "one")


def test_a_bad_record_is_a_dead_letter_with_its_bytes_and_place(replays):
    letters = json_lines(replays / "one" / "dead")
    assert len(letters) == 1
    assert b64decode(letters[0]["raw"]) == b"{not json"
    assert (letters[0]["topic"], letters[0]["offset"]) == ("headwater.events", 7)
    assert "JSON" in letters[0]["reason"]


def test_a_late_event_of_a_replay_is_a_dead_letter(replays):
    letters = json_lines(replays / "late" / "dead")
    assert "late" not in lists(rows_in(replays / "late"))
    assert [letter["reason"][:17] for letter in letters] == ["the event is late"]
    assert json.loads(b64decode(letters[0]["raw"]))["user_id"] == "late"
