"""Data sets as an evaluation takes them: other scales, missing times, one user, order, files."""

import json
import math

import numpy as np
import pytest

from deploy.evaluation import stream
from deploy.evaluation.evaluate import Options as Evaluation
from deploy.evaluation.evaluate import ordered
from deploy.evaluation.sources import EvaluationError, open_for_evaluation, require
from deploy.replay.options import Options
from deploy.replay.report import SourceError
from operators.events import Interaction
from operators.strengths import Strengths

RATED = Options(
    map={"user_id": "user", "item_id": "item", "event_time": "time", "value": "stars"},
    action="rating",
)


def table(folder, *rows, head="user,item,stars,time"):
    path = folder / "data.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def values(source):
    return [one.value for one in source.records() if isinstance(one, Interaction)]


@pytest.mark.parametrize(
    ("given", "read", "scale"),
    [
        ((1, 3, 5), [1, 3, 5], None),
        ((0.5, 4.5, 2), [0.5, 4.5, 2], None),
        ((2, 10, 7), [1, 5, 3.5], "0 to 10"),
        ((60, 100, 80), [3, 5, 4], "0 to 100"),
        ((0, 1, 1), [0, 5, 5], "0 to 1"),
        ((-10, 0, 10), [0, 2.5, 5], "-10 to 10"),
    ],
)
def test_ratings_on_any_scale_are_read_by_what_is_seen(tmp_path, given, read, scale):
    rows = [f"u{n},i{n},{stars},{n}" for n, stars in enumerate(given)]
    source = open_for_evaluation(table(tmp_path, *rows), RATED, "prequential")
    assert values(source) == read
    assert source.report.skipped == 0
    noted = " ".join(source.report.notes)
    assert (scale is None) == ("scale" not in noted)
    assert scale is None or f"scale of {scale}" in noted


def test_a_file_without_times_names_the_protocol_that_is_left(tmp_path):
    data = table(tmp_path, "u,a,5", "v,b,4", head="user,item,stars")
    wanted = Options(map={"user_id": "user", "item_id": "item", "value": "stars"}, action="rating")
    with pytest.raises(SourceError, match="--protocol last-out --file-order"):
        open_for_evaluation(data, wanted, "prequential")
    untimed = Options(map=wanted.map, action="rating", file_order=True)
    with pytest.raises(EvaluationError, match="--protocol last-out is still possible"):
        open_for_evaluation(data, untimed, "split")
    assert values(open_for_evaluation(data, untimed, "last-out")) == [5, 4]


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    data = table(tmp_path, "u,a,5,1", head="who,item,stars,time")
    with pytest.raises(SourceError, match=r"no column `user`.*it has `who`, `item`"):
        open_for_evaluation(data, RATED, "prequential")


def test_an_empty_file_and_one_user_are_refused_with_what_to_do(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(SourceError, match="is empty"):
        open_for_evaluation(empty, RATED, "prequential")
    with pytest.raises(EvaluationError, match=r"1 user with 2 events.*at least two.*user_id="):
        open_for_evaluation(table(tmp_path, "u,a,5,1", "u,b,5,2"), RATED, "prequential")


def collected(tmp_path, *rows):
    source = open_for_evaluation(table(tmp_path, *rows), RATED, "prequential")
    return source, stream.collect(source, Strengths())


def test_rows_in_any_order_are_sent_by_time_and_duplicates_once(tmp_path):
    source, events = collected(tmp_path, "u,b,5,9", "v,a,1,2", "u,b,5,9", "u,a,4,5")
    assert events.items == ["a", "a", "b"]
    assert events.duplicates == 1
    assert events.likes.tolist() == [False, True, True]
    assert events.stars.tolist() == [1, 4, 5]
    catalogue = stream.write(source, events, tmp_path)
    sent = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [one["event_time"] for one in sent] == [2000, 5000, 9000]
    assert [one["event_id"] for one in sent] == events.ids
    items = [json.loads(line) for line in (tmp_path / "items").read_text().splitlines()]
    assert [(one["item_id"], one["event_time"]) for one in items] == [("a", 2000), ("b", 9000)]
    assert set(catalogue.titles) == {"a", "b"}


def test_a_batch_of_one_millisecond_holds_one_event_in_the_order_of_the_file(tmp_path):
    _, events = collected(tmp_path, "u,c,5,1", "v,a,5,1", "w,b,5,1", "u,d,5,2")
    apart = ordered(events, Evaluation(window_ms=1))
    assert apart.times_ms.tolist() == [1000, 1333, 1666, 2000]
    assert apart.items == ["c", "a", "b", "d"]
    assert apart.moved_ms_max == 666
    together = ordered(events, Evaluation(window_ms=1000))
    assert (together.times_ms.tolist(), together.moved_ms_max) == ([1000] * 3 + [2000], 0)


def test_events_of_a_day_are_spread_over_it_where_times_are_dates_and_not_beyond_their_unit():
    day_ms, rng = 86_400_000, np.random.default_rng(1)
    for unit in (1, 10, 1000, day_ms):
        times = 1_500_000_000_000 + unit * np.sort(rng.integers(0, 300, 2000))
        moved = stream.evenly(times)
        assert (np.diff(moved) >= 0).all()
        assert ((moved - times) // unit == 0).all()
        if unit >= 1000:
            assert (np.diff(moved) > 0).all()
            assert (moved - times).max() > unit // 2
    assert stream.evenly([day_ms] * 3).tolist() == [day_ms] * 3
    assert stream.evenly([]).tolist() == []


def test_leave_last_out_is_spread_before_the_last_are_moved(tmp_path):
    _, events = collected(tmp_path, "u,a,5,1", "v,b,5,1", "u,c,5,2", "v,a,5,2", "w,a,5,3")
    held = ordered(events, Evaluation(window_ms=1, protocol="last-out"))
    assert held.held_out == 2
    assert (np.diff(held.times_ms) > 0).all()
    assert held.times_ms[:3].tolist() == [1000, 1500, 3000]


def test_apart_never_reorders_and_never_moves_more_than_it_must():
    times = np.sort(np.random.default_rng(1).integers(0, 3000, 5000))
    moved = stream.apart(times)
    assert (np.diff(moved) >= 1).all()
    assert (moved >= times).all()
    free = moved[1:] > moved[:-1] + 1
    assert (moved[1:][free] == times[1:][free]).all()


def test_leave_last_out_moves_the_last_positive_of_each_user_behind_all_others(tmp_path):
    source, events = collected(
        tmp_path, "u,a,5,1", "u,b,5,2", "v,a,5,3", "u,c,1,4", "v,c,5,5", "v,c,5,6", "w,a,5,7"
    )
    held = stream.hold_out_last(events)
    assert held.held_out == 2
    assert list(zip(held.users, held.items, strict=True))[-2:] == [("u", "b"), ("v", "c")]
    assert (np.diff(held.times_ms) >= 0).all()
    assert held.times_ms[-2] > 7000
    assert sorted(held.ids) == sorted(events.ids)
    stream.write(source, held, tmp_path)
    sent = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [one["event_id"] for one in sent] == held.ids, "written in the order of time"


def test_events_that_are_no_ratings_have_no_stars(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("user_id,item_id,event_time\nu,a,1\nv,b,2\n")
    source = open_for_evaluation(path, Options(action="click"), "prequential")
    events = stream.collect(source, Strengths())
    assert all(math.isnan(one) for one in events.stars)
    assert events.likes.all()


def test_a_missing_library_is_named_with_the_extra_that_brings_it():
    require("jinja2", "scipy", "optuna")
    with pytest.raises(EvaluationError, match=r"no_such not installed.*headwater\[evaluate\]"):
        require("scipy", "no_such")
