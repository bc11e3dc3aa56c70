"""The features by hand, what is left out of a list, ties, users side by side."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.composing import Strategy
from operators.features import (
    FEATURES,
    ITEM_FEATURES,
    Reference,
    Weights,
    item_features,
    outside_part,
)
from operators.messages import SOURCES, Availability
from operators.packing import EPOCH_MS, HOUR_MS, NEVER_LOG2, item_key
from operators.parameters import LearningSettings, RankingSettings
from operators.ranking import Ranking
from tests.driven import Ranked, figures, near, popular_list, user_changed

ROWS_MAX = 200
NOW_MS = EPOCH_MS + 1000 * HOUR_MS


def ranked(values: dict[str, float], **fields) -> Ranked:
    return Ranked(Ranking(RankingSettings(**fields), Weights(values=values), LearningSettings()))


FIGURES = {
    # likes, users, log2 of likes of a day and a month, first time, categories
    "a": {"likes": 3, "users": 10, "likes_1d": 41.0, "likes_30d": 8.0,
          "first_ms": NOW_MS - 9 * HOUR_MS, "categories": ["war"]},
    "b": {"likes": 0, "users": 2, "likes_1d": NEVER_LOG2, "likes_30d": NEVER_LOG2,
          "first_ms": NOW_MS + HOUR_MS, "categories": ["comedy", "drama"]},
    "p": {"likes": 31, "users": 31, "likes_1d": 40.0, "likes_30d": 9.0,
          "first_ms": NOW_MS - 99 * HOUR_MS, "categories": ["drama"]},
}  # fmt: skip
"""a and b are neighbours of the user's items, p is only popular; b is younger than the list."""

TASTE = math.hypot(7.75, 3.0)  # war: 5 faded to 4.75, and 3; drama: 3
EXPECTED = {
    # main: a .4 * .9 + .8 * .3 = .6, b .1 * .9 = .09; fast: a .4 * .6 + .24 = .48, b .06
    "c0": (1.0, math.sqrt(0.09 / 0.6), 0.0),
    "c1": (1.0, math.sqrt(0.06 / 0.48), 0.0),
    "short": (1.0, math.sqrt(0.03 / 0.22), 0.0),  # a .2 * .6 + .1, b .05 * .6
    "c0log": (0.0, math.log(0.09 / 0.6) / 3, math.log(0.001) / 3),
    "rank": (0.0, -math.log2(2) / 4, -math.log2(1 + ROWS_MAX) / 4),
    "support": (math.log(1 + 1.9), math.log(1 + 0.9), 0.0),
    "genre": (2 * 7.75 / TASTE, 2 * 3 / TASTE / math.sqrt(2), 2 * 3 / TASTE),
    "exposed": (math.log(2), math.log(2), 0.0),  # in the list before the second like
    "in_cf": (1.0, 1.0, 0.0),
    "cat_last": (0.0, 1.0, 1.0),  # drama
    "seed": (1.0, 0.0, 0.0),
    "content": (0.042 / 0.045, 1.0, 0.0),  # a .02 * .9 + .8 * .03 = .042, b .05 * .9 = .045
    "unproven": (0.0, 0.0, 0.0),
    "pop": (math.log(4 / 32) / 2, math.log(1 / 32) / 2, 0.0),
    "pop1d": (0.0, -12 / 4, -1 / 4),
    "pop30d": (-1 / 4, -12 / 4, 0.0),
    "quality": (4 * (5.5 / 15 - 0.5), 4 * (2.5 / 7 - 0.5), 4 * (33.5 / 36 - 0.5)),
    "age": (math.log(10) / 4, 0.0, math.log(100) / 4),
}


def scene(values: dict[str, float]) -> Ranked:
    """Two likes of one user among the shared lists."""
    stage = ranked(values)
    packed = {item: figures(item, **fields) for item, fields in FIGURES.items()}
    stage.send(
        popular_list("all_time", ("p", packed["p"])),
        popular_list("1d", ("a", packed["a"]), ("p", packed["p"])),
        popular_list("30d", ("p", packed["p"])),
    )
    stage.touch("u", "x", near("a", 0.4, 0.2, 0.02, **FIGURES["a"]),
                near("b", 0.1, 0.05, 0.05, **FIGURES["b"]),
                at_ms=NOW_MS - 1, categories=["war"])  # fmt: skip
    stage.touch("u", "y", near("a", 0.3, 0.1, 0.03, **FIGURES["a"]), at_ms=NOW_MS, strength=8,
                categories=["drama", "war"])  # fmt: skip
    return stage


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_by_hand(feature):
    stage = scene({feature: 1.0})
    expected = dict(zip("abp", EXPECTED[feature], strict=True))
    assert stage.scores("u") == pytest.approx(expected, abs=1e-5)
    parts = expected if feature in ITEM_FEATURES else dict.fromkeys(expected, 0.0)
    assert stage.item_scores("u") == pytest.approx(parts, abs=1e-5)


def test_every_feature_has_an_expected_value_and_tells_candidates_apart():
    assert set(EXPECTED) == set(FEATURES)
    assert len(FEATURES) == 18
    alike = [name for name, values in EXPECTED.items() if len(set(values)) == 1]
    assert alike == ["unproven"]  # see the next test


def test_what_only_its_content_speaks_for_is_outside_of_what_goes_together():
    for feature, expected in {
        "unproven": {"a": 0, "c": 1, "p": 0},
        "content": {"a": 0.5, "c": 1, "p": 0},
        "in_cf": {"a": 1, "c": 0, "p": 0},
        "support": {"a": math.log(2), "c": 0, "p": 0},
        "c0log": {"a": 0, "c": math.log(0.001) / 3, "p": math.log(0.001) / 3},
        "rank": {"a": 0, "c": -math.log2(1 + ROWS_MAX) / 4, "p": -math.log2(1 + ROWS_MAX) / 4},
    }.items():
        stage = ranked({feature: 1.0})
        stage.send(popular_list("all_time", ("p", figures("p", **FIGURES["p"]))))
        stage.touch("u", "x", near("c", 0.0, content=0.04), near("a", 0.4, content=0.02))
        assert stage.scores("u") == pytest.approx(expected, abs=1e-5), feature


def test_of_what_nobody_has_confirmed_only_the_likest_go_before_what_is_popular():
    stage = Ranked(Ranking(RankingSettings(), Weights(), LearningSettings()))
    stage.send(popular_list("all_time", ("p", figures("p")), ("q", figures("q"))))
    stage.touch("u", "x", near("c", 0.0, content=0.04), near("d", 0.0, content=0.03),
                near("a", 0.4))  # fmt: skip
    assert list(stage.scores("u")) == ["a", "c", "p", "q", "d"]
    assert stage.sources("u") == ["co_occurrence", "content", "trending", "trending", "content"]


def test_a_content_place_is_kept_for_what_only_its_content_speaks_for():
    home = {"home": Strategy(content_places=2, interest_places=0)}
    stage = Ranked(Ranking(RankingSettings(surfaces=home), Weights(), LearningSettings()))
    rows = [near(f"a{n}", 0.5 - n / 100) for n in range(12)]
    alike = [near(f"c{n}", 0.0, content=0.05 - n / 100) for n in range(3)]
    stage.touch("u", "x", *rows, *alike)
    listed = list(stage.scores("u"))
    assert listed[8:10] == ["c0", "c1"]
    assert set(listed[:8]) | set(listed[10:]) == {*(f"a{n}" for n in range(12)), "c2"}
    scores = list(stage.scores("u").values())
    assert scores == sorted(scores, reverse=True)
    assert stage.sources("u")[8:10] == ["content", "content"]


def test_a_score_is_the_weighted_sum_of_all_features():
    values = {feature: 0.3 + 0.1 * number for number, feature in enumerate(FEATURES)}
    stage = scene(values)
    for place, item in enumerate("abp"):
        score = sum(values[feature] * EXPECTED[feature][place] for feature in FEATURES)
        part = sum(values[feature] * EXPECTED[feature][place] for feature in ITEM_FEATURES)
        assert stage.scores("u")[item] == pytest.approx(score, abs=1e-4)
        assert stage.item_scores("u")[item] == pytest.approx(part, abs=1e-4)
    # what a reader adds to the item part of an item the neighbours did not name
    constants = outside_part(Weights(values=values).of(FEATURES), ROWS_MAX)
    by_taste = values["genre"] * EXPECTED["genre"][2] + values["cat_last"]
    assert stage.scores("u")["p"] - stage.item_scores("u")["p"] - by_taste == pytest.approx(
        constants, abs=1e-4
    )


def test_the_list_is_ordered_by_score():
    assert list(scene({"c0": 1.0}).scores("u")) == ["a", "b", "p"]
    assert list(scene({"c0": -1.0}).scores("u")) == ["p", "b", "a"]
    assert list(scene({"pop": 1.0}).scores("u")) == ["p", "a", "b"]


def test_an_unknown_feature_has_no_weight():
    with pytest.raises(ValueError, match=r"popularity.*legal are c0, c1"):
        Weights(values={"popularity": 1.0})


def test_without_any_popular_item_popularity_is_measured_against_nothing():
    stage = ranked({"pop": 1.0, "pop1d": 1.0})
    stage.touch("u", "x", near("a", 0.4, likes=3, likes_1d=NEVER_LOG2))
    assert stage.scores("u") == {"a": pytest.approx(math.log(4) / 2)}


def test_a_count_that_an_erasure_has_taken_below_nothing_counts_as_nothing():
    stage = Ranked(
        Ranking(RankingSettings(), Weights(values=dict.fromkeys(FEATURES, 1.0)), LearningSettings())
    )
    taken = figures("taken", likes=-1, users=-1), figures("plain", likes=0, users=0)
    stage.send(popular_list("all_time", ("taken", taken[0]), ("plain", taken[1])))
    stage.touch("u", "i", near("a", 0.5, likes=-1, users=-3))
    scores = stage.scores("u")
    assert scores["taken"] == scores["plain"]
    assert all(map(math.isfinite, scores.values()))
    numbers = np.array([[-1.0, -1.0, -5.0, -5.0, 0.0], [0.0, 0.0, -5.0, -5.0, 0.0]])
    rows = item_features(numbers, Reference(likes=3), np.array(1e12))
    assert rows[0].tolist() == rows[1].tolist()


def test_shared_items_fill_up_in_their_order_and_each_stands_once():
    stage = ranked({"c0": 4.0})
    names = {"all_time": "pqa", "1h": "rq", "1d": "sp", "30d": "t", "category:war": "wq",
             "category:drama": "d"}  # fmt: skip
    stage.send(*(popular_list(name, *((item, figures(item)) for item in items))
                 for name, items in names.items()))  # fmt: skip
    stage.touch("u", "x", near("b", 0.1), near("a", 0.2), categories=["war"])
    row = stage.lists["u"]
    assert row.ids == ["a", "b", "p", "q", "r", "s", "t", "w"]
    assert [SOURCES[source] for source in row.sources] == ["co_occurrence"] * 2 + ["trending"] * 6
    stage.touch("u", "y")
    assert stage.lists["u"].ids == ["a", "b", "p", "q", "r", "s", "t"]


def test_equal_scores_keep_the_order_of_arrival():
    stage = ranked({})
    stage.send(popular_list("all_time", ("z", figures("z")), ("c", figures("c"))))
    stage.touch("u", "x", near("b", 0.1), near("a", 0.2))
    stage.touch("u", "y", near("d", 0.3), near("b", 0.1))
    assert stage.lists["u"].ids == ["b", "a", "d", "z", "c"]


def test_many_equal_scores_keep_their_order_too():
    stage = ranked({"cat_last": 1.0}, list_max=200)
    stage.touch("u", "x", *(near(f"i{n}", 0.1, categories=["war"] * (n % 3 == 0))
                            for n in range(150)), categories=["war"])  # fmt: skip
    first, rest = range(0, 150, 3), (n for n in range(150) if n % 3)
    assert stage.lists["u"].ids == [f"i{n}" for n in (*first, *rest)]


def test_a_renewed_shared_list_takes_the_place_of_the_old_one():
    stage = ranked({"pop": 1.0})
    stage.send(popular_list("all_time", ("p", figures("p", likes=3)), ("q", figures("q"))))
    stage.touch("u", "x")
    assert list(stage.scores("u")) == ["p", "q"]
    stage.send(popular_list("all_time", ("r", figures("r", likes=1)), ("p", figures("p"))))
    stage.touch("u", "y")
    assert stage.scores("u") == {"r": 0.0, "p": pytest.approx(math.log(1 / 2) / 2)}


def test_an_item_without_categories_shares_none_with_the_last_item():
    stage = ranked({"cat_last": 1.0})
    stage.touch("u", "x", near("a", 0.2), near("b", 0.1, categories=["war"]))
    assert stage.scores("u") == {"a": 0.0, "b": 0.0}


def test_a_list_holds_at_most_list_max_items():
    stage = ranked({"c0": 4.0}, list_max=3)
    stage.touch("u", "x", *(near(f"i{n}", 0.1 * n) for n in range(1, 6)))
    assert stage.lists["u"].ids == ["i5", "i4", "i3"]


def test_nothing_of_a_blocked_category_is_listed_whatever_its_place_among_the_categories():
    stage = ranked({"c0": 4.0})
    stage.send(popular_list("all_time", ("p", figures("p", categories=["war"]))))
    rows = near("a", 0.2, categories=["drama", "war"]), near("b", 0.1, categories=["drama"])
    stage.touch("u", "x", *rows)
    assert stage.lists["u"].ids == ["a", "b", "p"]
    stage.send(user_changed("u", 2000, stage.seq("u"), blocked=["war", "comedy"]))
    assert stage.lists["u"].ids == ["b"]
    stage.touch("v", "x", *rows)
    assert stage.lists["v"].ids == ["a", "b", "p"]
    stage.send(user_changed("u", 3000, stage.seq("u"), blocked=["drama"]))
    assert stage.lists["u"].ids == ["p"]
    assert SOURCES[stage.lists["u"].sources[0]] == "trending"
    assert stage.lists["u"].fallback
    stage.send(user_changed("u", 4000, stage.seq("u")))
    assert stage.lists["u"].ids == ["a", "b", "p"]


def test_an_unavailable_item_is_not_listed_until_it_is_back():
    stage = ranked({"c0": 4.0})

    def tell(item: str, at_ms: int, *, available: bool) -> None:
        stage.send(Availability(at_ms, "", "default", item, item_key(item), available))

    stage.send(popular_list("all_time", ("p", figures("p"))))
    tell("a", 1, available=False)
    tell("p", 2, available=False)
    tell("p", 3, available=False)
    stage.touch("u", "x", near("a", 0.2), near("b", 0.1))
    assert stage.lists["u"].ids == ["b"]
    tell("p", 4, available=True)
    tell("q", 5, available=True)
    stage.touch("u", "x2")
    assert stage.lists["u"].ids == ["b", "p"]
    tell("a", 6, available=True)
    stage.touch("u", "x3")
    assert stage.lists["u"].ids == ["a", "b", "p"]


def test_what_the_user_has_seen_is_not_listed_from_any_source():
    stage = ranked({"c0": 4.0})
    stage.send(popular_list("all_time", ("p", figures("p")), ("x", figures("x"))))
    stage.touch("u", "x", near("x", 0.9), near("y", 0.5), near("z", 0.4))
    assert stage.lists["u"].ids == ["y", "z", "p"]
    stage.touch("u", "y", near("x", 0.9), near("y", 0.9))
    assert stage.lists["u"].ids == ["z", "p"]


ITEMS = [f"i{n}" for n in range(12)]
NEAR = st.builds(
    lambda item, sim, short, likes, categories: near(
        item, sim, short, likes=likes, users=2 * likes, likes_1d=float(likes), first_ms=10**12,
        categories=categories,
    ),
    st.sampled_from(ITEMS), st.floats(0, 1, width=32), st.floats(0, 1, width=32),
    st.integers(0, 50), st.lists(st.sampled_from(["war", "drama", "comedy"]), unique=True),
)  # fmt: skip
TOUCH = st.tuples(
    st.sampled_from(["u", "v", "w", "z"]), st.sampled_from(ITEMS), st.integers(1, 10),
    st.lists(NEAR, max_size=6, unique_by=lambda row: row[0]),
    st.lists(st.sampled_from(["war", "drama"]), unique=True),
)  # fmt: skip
VALUES = st.fixed_dictionaries({feature: st.floats(-2, 2, width=16) for feature in FEATURES})


@given(st.lists(TOUCH, min_size=2, max_size=12), VALUES, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_users_scored_together_get_the_lists_each_gets_alone(touches, values, together):
    """Byte for byte, whatever else is in the batch."""
    shared, alone = ranked(values, list_max=8), ranked(values, list_max=8)
    popular = popular_list("all_time", *((item, figures(item, likes=5)) for item in ITEMS[:3]))
    shared.send(popular)
    alone.send(popular)
    messages = [
        shared.answer(user, item, *rows, strength=strength, categories=categories,
                      at_ms=10**12 + number)
        for number, (user, item, strength, rows, categories) in enumerate(touches)
    ]  # fmt: skip
    for start in range(0, len(messages), together):
        batch = messages[start : start + together]
        shared.send(*batch)
        for user in {message.counted.signal.user for message in batch}:
            alone.send(*(one for one in batch if one.counted.signal.user == user))
        assert shared.lists == alone.lists
