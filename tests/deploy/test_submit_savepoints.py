"""Savepoints that are remembered."""

import os
from pathlib import Path

import msgspec
import pytest

from deploy.savepoints import LATEST, Savepoint, SavepointError, Savepoints
from deploy.stack.layout import Layout


def made(folder: Path, name: str, job: str = "recommend") -> Savepoint:
    (folder / name).mkdir()
    (folder / name / "_metadata").write_bytes(b"x")
    return Savepoint(job=job, path=(folder / name).as_uri(), job_id="id", taken_ms=1)


@pytest.fixture
def savepoints(tmp_path: Path) -> Savepoints:
    return Savepoints(Layout(tmp_path))


def test_the_latest_of_a_job_is_found(savepoints, tmp_path):
    first, other, second = (
        made(tmp_path, "a"),
        made(tmp_path, "b", "learn"),
        made(tmp_path, "c"),
    )
    for one in (first, second, other):
        savepoints.record(one)
    assert savepoints.find("recommend", LATEST) == second.path
    assert savepoints.find("learn", LATEST) == other.path


def test_one_that_was_deleted_is_passed_over(savepoints, tmp_path):
    first, second = made(tmp_path, "a"), made(tmp_path, "b")
    savepoints.record(first)
    savepoints.record(second)
    (tmp_path / "b" / "_metadata").unlink()
    assert savepoints.find("recommend", LATEST) == first.path


def test_without_any_the_answer_says_what_takes_one(savepoints):
    with pytest.raises(SavepointError, match="headwater stop recommend"):
        savepoints.find("recommend", LATEST)


def test_a_path_is_taken_if_a_savepoint_is_there(savepoints, tmp_path):
    made(tmp_path, "mine")
    assert savepoints.find("recommend", str(tmp_path / "mine")) == str(tmp_path / "mine")
    assert savepoints.find("recommend", (tmp_path / "mine").as_uri())
    with pytest.raises(SavepointError, match="_metadata"):
        savepoints.find("recommend", str(tmp_path))


def test_one_on_another_machine_is_taken_at_its_word(savepoints):
    assert savepoints.find("recommend", "s3://bucket/sp-1") == "s3://bucket/sp-1"


def test_they_are_forgotten_with_the_stacks_data(savepoints, tmp_path):
    savepoints.record(made(tmp_path, "a"))
    Layout(tmp_path).wipe()
    assert savepoints.all() == []


def test_a_record_that_cannot_be_read_says_what_to_do(savepoints, tmp_path):
    savepoints.record(made(tmp_path, "a"))
    (Layout(tmp_path).data / "flink" / "savepoints.json").write_text("{")
    with pytest.raises(SavepointError, match="name the savepoint's path instead"):
        savepoints.find("recommend", LATEST)


def checkpoint(folder: Path, job_id: str, number: int, at_s: int, size: int = 1) -> Path:
    place = Layout(folder).checkpoints / job_id / f"chk-{number}"
    place.mkdir(parents=True)
    (place / "_metadata").write_bytes(b"x" * size)
    os.utime(place / "_metadata", (at_s, at_s))
    return place


def test_a_run_that_was_lost_goes_on_from_its_newest_checkpoint(savepoints, tmp_path):
    savepoints.record(made(tmp_path, "old"))
    checkpoint(tmp_path, "lost", 7, 100)
    newest = checkpoint(tmp_path, "lost", 8, 200)
    checkpoint(tmp_path, "lost", 9, 300, size=0)
    checkpoint(tmp_path, "foreign", 1, 400)
    savepoints.started("recommend", "lost", {})
    savepoints.started("learn", "foreign", {})
    assert savepoints.find("recommend", LATEST) == newest.as_uri()
    assert savepoints.checkpoint("lost") == newest.as_uri()
    assert savepoints.checkpoint("nobody") is None


def test_a_savepoint_that_is_newer_than_all_checkpoints_wins(savepoints, tmp_path):
    checkpoint(tmp_path, "run", 1, 100)
    savepoints.started("recommend", "run", {})
    taken = msgspec.structs.replace(made(tmp_path, "sp"), taken_ms=101_000)
    savepoints.record(taken)
    assert savepoints.find("recommend", LATEST) == taken.path


def test_a_savepoint_a_checkpoint_and_a_run_tell_the_settings_in_their_state(savepoints, tmp_path):
    told = {"buckets": "16"}
    newest = checkpoint(tmp_path, "run", 1, 100)
    savepoints.started("recommend", "run", told)
    taken = msgspec.structs.replace(made(tmp_path, "sp"), meaning={"buckets": "8"})
    savepoints.record(taken)
    assert savepoints.meaning_of("run") == told
    assert savepoints.meaning_of(newest.as_uri()) == told
    assert savepoints.meaning_of(taken.path) == {"buckets": "8"}
    assert savepoints.meaning_of(str(tmp_path / "sp") + "/") == {"buckets": "8"}
    assert savepoints.meaning_of("s3://elsewhere/sp") == {}


def test_the_state_of_another_job_is_refused_by_its_name(savepoints, tmp_path):
    savepoints.record(made(tmp_path, "sp", "learn"))
    place = checkpoint(tmp_path, "run", 1, 100)
    savepoints.started("learn", "run", {})
    for path in (str(tmp_path / "sp"), place.as_uri()):
        with pytest.raises(SavepointError, match="the state of learn, and not of recommend"):
            savepoints.find("recommend", path)
        assert savepoints.find("learn", path) == path
