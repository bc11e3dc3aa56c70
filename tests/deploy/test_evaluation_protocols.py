"""Which rows count: positives, parts of time, the last of each user."""

import numpy as np

from deploy.evaluation import breakdown, errors, popular
from deploy.evaluation.judged import running_count
from deploy.evaluation.protocols import cuts_of, selections
from tests.deploy.judging import judged, outcome


def test_positives_are_likes_of_new_items_by_users_with_an_earlier_one():
    table = judged(
        outcome("u", "a"),  # the first: nothing to learn from
        outcome("u", "b", liked=False),
        outcome("u", "c", 3),
        outcome("u", "b", first=False),  # liked now, but no longer new
        outcome("u", "d"),
        outcome("v", "a", 1),
    )
    assert table.positives().tolist() == [False, False, True, False, True, False]
    assert table.earlier_positives().tolist() == [0, 1, 1, 2, 2, 0]


def test_rows_are_in_the_order_of_time_and_id_whatever_order_they_came_in():
    later, sooner = outcome("u", "a", time_ms=9), outcome("u", "b", time_ms=8, event_id="z")
    twin = outcome("u", "c", time_ms=8, event_id="a")
    table = judged(later, sooner, twin)
    assert [table.items[code] for code in table.item] == ["c", "b", "a"]


def test_running_count_counts_within_a_group():
    groups, flags = np.array([3, 1, 3, 3, 1]), np.array([True, True, False, True, True])
    assert running_count(groups, flags).tolist() == [0, 0, 1, 1, 1]
    assert running_count(np.zeros(0, np.int64), np.zeros(0, bool)).tolist() == []


def test_time_is_cut_once_for_all_users():
    cuts = cuts_of(np.arange(1000)[::-1])
    assert (cuts.validation_ms, cuts.test_ms) == (800, 900)


def test_parts_do_not_overlap_and_the_test_part_is_the_latest():
    table = judged(*(outcome("u", f"i{n}", time_ms=n) for n in range(100)))
    chosen = selections(table, cuts_of(table.time_ms))
    assert not (chosen["validation"] & chosen["test"]).any()
    assert np.flatnonzero(chosen["test"]).tolist() == list(range(90, 100))
    assert np.flatnonzero(chosen["validation"]).tolist() == list(range(80, 90))
    assert chosen["second_half"].sum() in {49, 50}


def test_the_last_positive_of_each_user():
    table = judged(
        outcome("u", "a"), outcome("u", "b"), outcome("v", "a"), outcome("u", "c"),
        outcome("v", "b"), outcome("u", "d", liked=False), outcome("w", "a"),
    )  # fmt: skip
    last = selections(table, cuts_of(table.time_ms))["last_of_user"]
    assert [table.items[code] for code in table.item[last]] == ["c", "b"]


def test_groups_by_a_count_cover_all_rows():
    table = judged(*(outcome("u", f"i{n}", 1 if n % 2 else None, item_users=n) for n in range(40)))
    rows = table.positives()
    groups = breakdown.by_steps(table, rows, table.item_users, 10, 1)
    assert [one.name for one in groups] == ["1–4", "5–19", "20–99"]
    assert sum(one.rows for one in groups) == rows.sum()
    assert groups[0].hr.value == 0.5


def test_hits_by_source_and_ranks_below_the_list():
    table = judged(
        outcome("u", "a"), outcome("u", "b", 1), outcome("u", "c", 12),
        outcome("u", "d", 2, source="trending"), outcome("u", "e", 3),
    )  # fmt: skip
    shares = breakdown.by_source(table, table.positives(), 10)
    assert {(one.source, one.hits, one.ranked) for one in shares} == {
        ("co_occurrence", 2, 3), ("trending", 1, 1),
    }  # fmt: skip


def test_every_miss_has_its_reason():
    table = judged(
        outcome("u", "a"), outcome("u", "b", 10), outcome("u", "c", 11),
        outcome("u", "d", item_users=0), outcome("u", "e", item_users=4),
        outcome("u", "f", item_users=5),
    )  # fmt: skip
    assert errors.shares(table, table.positives(), 10) == {
        "hit": 0.2, "below": 0.2, "new_item": 0.2, "rare_item": 0.2, "absent": 0.2,
    }  # fmt: skip


def test_the_worst_users_are_those_chance_explains_least():
    unlucky = [outcome("unlucky", f"i{n}", item_users=0) for n in range(31)]
    short = [outcome("short", f"i{n}") for n in range(5)]
    lucky = [outcome("lucky", f"i{n}", 1) for n in range(31)]
    table = judged(*unlucky, *short, *lucky)
    (worst,) = errors.worst_users(table, table.positives(), 10)
    assert (worst.name, worst.hr, worst.reason, worst.share) == ("unlucky", 0.0, "new_item", 1.0)


def test_popularity_ranks_by_users_so_far_without_what_the_user_knows():
    table = judged(
        outcome("a", "x"), outcome("b", "x"), outcome("a", "y"), outcome("c", "z"),
        outcome("c", "y"), outcome("b", "y"), outcome("a", "z"), outcome("c", "new"),
    )  # fmt: skip
    rows = table.positives()
    ranks = popular.ranks(table, rows)
    assert ranks is not None
    names = [table.items[code] for code in table.item]
    found = {(names[row], int(ranks[row])) for row in np.flatnonzero(rows)}
    # y: nobody had it when a came to it, x is a's own; for c, x has two users before y has one.
    assert found == {("y", 0), ("y", 2), ("y", 1), ("z", 1), ("new", 0)}
