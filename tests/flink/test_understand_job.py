"""The graph of `understand` on a local mini cluster, with a model of words."""

import json
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from operators.features_wire import (
    Complete,
    ItemFeatures,
    marker_key,
    parse_features,
    parse_signal,
    vector_of,
)
from operators.flink.features import writes_of
from operators.flink.payload import unpack
from operators.naming import identity, shown
from operators.readings import Record
from tests.builders import event, listing
from tests.flink.programs import json_lines, run_program
from tests.flink.test_recommend_job import START_MS, write

pytestmark = pytest.mark.flink

RECORDS = msgspec.msgpack.Decoder(list[Record])
STORIES = ["a cat at sea", "a dog at war", "a robot in love"]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A folder in which the job has read 30 items of three stories, and some texts."""
    folder = tmp_path_factory.mktemp("understand")
    items = [listing(f"i{n}", START_MS + n, title=STORIES[n % 3], description=f"part {n}")
             for n in range(30)]  # fmt: skip
    items += [listing("poison", START_MS, title="unreadable"), listing("i0", START_MS + 99,
              title=STORIES[0], description="part 0")]  # fmt: skip
    events = [
        event("u", "i1", START_MS, "review", text="such a dog", event_id="e1"),
        event("u", "i1", START_MS + 1, "click"),
        event("w", None, START_MS + 2, "search", text="unreadable", event_id="e3"),
        event("v", None, START_MS + 3, "search", text="secret", consent=False),
    ]
    write(folder, events, items, b"{not json")
    run_program(
        "local_understand.py", folder, str(folder), "clock=replay", "parallelism=1",
        "catalogue.map_counts=[20]", "clusters.clusters=3",
    )  # fmt: skip
    return folder


def records(folder: Path) -> list:
    return [parse_features(one["key"].encode(), one["value"].encode())
            for one in json_lines(folder / "features")]  # fmt: skip


def test_every_item_is_published_with_neighbours_of_its_own_story(done):
    found = {one.item_id: one for one in records(done) if isinstance(one, ItemFeatures)}
    assert sorted(found) == sorted(f"i{n}" for n in range(30))
    assert {one.model for one in found.values()} == {"hash/1"}
    assert found["i0"].event_time == START_MS + 99
    for number in range(30):
        near = found[f"i{number}"].neighbours[:5]
        assert {int(one.item_id[1:]) % 3 for one in near} == {number % 3}


def test_items_and_texts_of_a_story_have_one_topic_that_is_named_after_it(done):
    found = {one.item_id: one for one in records(done) if isinstance(one, ItemFeatures)}
    (line,) = json_lines(done / "signals")
    written = parse_signal(line["value"].encode()).topics[0].name
    about = {}
    for number, subject in enumerate(["cat", "dog", "robot"]):
        names = {found[f"i{n}"].topics[0].name for n in range(number, 30, 3)}
        (about[subject],) = {identity(name) for name in names}
        assert all(subject in shown(name).split(" / ") for name in names)
    assert len(set(about.values())) == 3
    assert identity(written) == about["dog"]


def test_a_marker_says_when_all_of_it_is_there(done):
    markers = [one for one in records(done) if isinstance(one, Complete)]
    assert markers == [Complete(event_time=START_MS + 99, model="hash/1")]


def test_a_text_becomes_a_signal_near_what_it_is_about(done):
    (line,) = json_lines(done / "signals")
    signal = parse_signal(line["value"].encode())
    assert (line["key"], signal.user_id, signal.item_id, signal.action) == (
        "u",
        "u",
        "i1",
        "review",
    )
    vectors = {one.item_id: vector_of(one) for one in records(done)
               if isinstance(one, ItemFeatures)}  # fmt: skip
    about = vector_of(signal)
    nearest = max(vectors, key=lambda item: float(vectors[item] @ about))
    assert int(nearest[1:]) % 3 == 1


def test_what_the_model_cannot_read_is_a_dead_letter_and_nothing_else_is(done):
    letters = json_lines(done / "dead")
    raws = sorted(json.loads(b64decode(one["raw"])).get("item_id", "search") for one in letters)
    assert raws == ["poison", "search"]
    assert {one["reason"] for one in letters} == {"in inference: refused"}


def test_no_text_of_a_user_is_written_anywhere_else(done):
    written = [path for path in done.rglob("*") if path.is_file() and path.name != "events"
               and "dead" not in path.parts]  # fmt: skip
    assert not [path for path in written if b"such a dog" in path.read_bytes()]
    assert not [path for path in done.rglob("part-*") if b"secret" in path.read_bytes()]


def test_what_is_published_is_what_goes_to_cassandra(done):
    payloads = (done / "rows").read_text().splitlines()
    written = [one for payload in payloads for one in unpack(RECORDS, payload)]
    said = [(one["key"], one["value"]) for one in json_lines(done / "features")]
    published = sorted(one for one in said if not one[0].startswith(marker_key("")))
    assert sorted((one.key, one.value) for one in written) == published
    assert len(writes_of(written)) == 30
