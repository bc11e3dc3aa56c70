"""Places for what nobody has touched: as many as would have paid."""

import numpy as np
import pytest

from operators.composing import FIRST, Strategy
from operators.features import Weights
from operators.newcomers import DECAY, PLACES_MAX, Newcomers, count, places
from operators.parameters import LearningSettings, RankingSettings
from operators.ranking import Ranking
from operators.stage import DictTable
from tests.driven import Ranked, near

ORDINARY = np.arange(100, 110, dtype=np.uint64)
UNTOUCHED = np.arange(200, 205, dtype=np.uint64)


@pytest.mark.parametrize(
    ("liked", "hits"),
    [
        (100, [1, 1, 1, 1, 1, 1]),
        (108, [1, 1, 0, 0, 0, 0]),
        (109, [1, 0, 0, 0, 0, 0]),
        (200, [0, 1, 1, 1, 1, 1]),
        (202, [0, 0, 0, 1, 1, 1]),
        (999, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_a_like_is_a_hit_for_each_number_of_places_that_would_have_shown_it(liked, hits):
    assert count(Newcomers(), ORDINARY, UNTOUCHED, liked).hits == hits


def test_counts_fade_and_leave_what_they_were_made_of_alone():
    before = Newcomers([8.0] * (PLACES_MAX + 1))
    after = count(before, ORDINARY, UNTOUCHED, 999)
    assert after.hits == [8.0 * DECAY] * (PLACES_MAX + 1)
    assert before.hits == [8.0] * (PLACES_MAX + 1)
    for _ in range(499):
        after = count(after, ORDINARY, UNTOUCHED, 999)
    assert after.hits == pytest.approx([4.0] * (PLACES_MAX + 1))


def test_the_number_is_that_of_the_most_hits_and_the_smallest_of_equal_ones():
    assert places(None) == places(Newcomers()) == 0
    assert places(Newcomers([3.0, 4.0, 4.0, 2.0, 0.0, 0.0])) == 1


# --- in the ranking

KNOWN = [near(f"a{n}", 0.5 - n / 100, users=9) for n in range(12)]
NEW = [near(f"c{n}", 0.0, content=0.04 - n / 100) for n in range(3)]


def ranking(**fields) -> Ranked:
    surfaces = {"": Strategy(interest_places=0, **fields)}
    return Ranked(Ranking(RankingSettings(surfaces=surfaces), Weights(values={"c0": 4.0}),
                          LearningSettings()), DictTable)  # fmt: skip


def new_ones(stage: Ranked, user: str) -> list[str]:
    return [item for item in stage.lists[user].ids[:FIRST] if item.startswith("c")]


def like(stage: Ranked, liked: str, users: range) -> None:
    """Users come, touch something, then like an item."""
    for n in users:
        stage.touch(f"u{n}", "x", *KNOWN, *NEW)
        stage.touch(f"u{n}", liked)


def test_what_is_new_and_liked_earns_places_and_what_is_not_liked_loses_them():
    stage = ranking()
    like(stage, "c0", range(3))
    stage.touch("one", "x", *KNOWN, *NEW)
    assert new_ones(stage, "one") == ["c0"]
    assert stage.lists["one"].ids.index("c0") == FIRST - 1
    like(stage, "a9", range(3, 9))
    stage.touch("two", "x", *KNOWN, *NEW)
    assert new_ones(stage, "two") == []


def test_the_place_that_gave_way_still_counts():
    stage = ranking()
    like(stage, "c0", range(3))
    like(stage, "a9", range(3, 6))
    hits = stage.state.newcomers.get("default").hits
    assert hits[0] == pytest.approx(hits[1], rel=0.01)  # a9 stood eleventh when it was liked


def test_what_somebody_has_touched_gets_no_place():
    stage = ranking(content_places=2)
    touched = near("c0", 0.0, content=0.04, users=1)
    stage.touch("u", "x", *KNOWN, touched, *NEW[1:])
    assert new_ones(stage, "u") == ["c1", "c2"]


def test_tenants_earn_apart_and_without_newcomers_nothing_is_kept():
    stage = ranking()
    stage.touch("u", "x", *KNOWN)
    stage.touch("u", "a0")
    assert stage.data()["newcomers"] == {}
    like(stage, "c0", range(2))
    assert set(stage.data()["newcomers"]) == {"default"}


@pytest.mark.parametrize("kind", ["interests", "history", "context"])
def test_only_hybrid_lists_earn(kind):
    stage = ranking(kind=kind, content_places="earned")
    like(stage, "c0", range(3))
    stage.touch("one", "x", *KNOWN, *NEW)
    assert new_ones(stage, "one") == []


def test_a_quota_of_content_holds_for_newcomers_too():
    stage = ranking(content_places=3, most={"content": 1})
    stage.touch("u", "x", *KNOWN, *NEW)
    assert new_ones(stage, "u") == ["c0"]


def test_a_fixed_number_needs_no_likes_and_a_wrong_one_is_refused():
    stage = ranking(content_places=2)
    stage.touch("u", "x", *KNOWN, *NEW)
    assert new_ones(stage, "u") == ["c0", "c1"]
    with pytest.raises(ValueError, match="0 to 10"):
        Strategy(content_places=11)
