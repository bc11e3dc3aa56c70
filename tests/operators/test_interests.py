"""Clusters of a user's items, tags and mood."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.interests import (
    DAY_MS,
    HOUR_MS,
    LOST,
    Interests,
    name_of,
    reward,
    shares,
    touch,
    write,
)
from operators.messages import About
from operators.mood import Mood, bend, current, feel, valence
from operators.packing import code_of
from operators.parameters import MoodSettings
from tests.abouts import A, B, C, D, S, about
from tests.driven import (
    said,
)


def put(mine: Interests, vector, item: str, at_ms: int = 0, strength: int = 10, **fields):
    return touch(mine, about(vector, **fields), (item, f"Title {item}"), strength, at_ms, S)


# --- clusters


def test_near_items_share_an_interest_and_far_ones_found_another():
    mine = Interests()
    slots = [put(mine, vector, item)[0] for vector, item in
             ((A, "a1"), (A + 0.3 * B, "a2"), (B, "b1"))]  # fmt: skip
    assert slots[0] == slots[1] != slots[2]
    assert len(mine.clusters) == 2


def test_an_item_without_a_vector_brings_its_tags_alone():
    mine = Interests()
    slot, _ = touch(mine, About("", b"", [("heist", 0.5)], 0.0), ("x", "X"), 10, 0, S)
    assert (slot, mine.clusters, mine.tags["heist"].weight) == (LOST, [], 0.5)


def test_codes_of_different_models_are_never_compared():
    mine = Interests()
    one, _ = put(mine, A, "a1", model="m/1")
    other, _ = put(mine, A, "a2", model="m/2")
    assert one != other
    assert put(mine, A, "a3", model="m/1")[0] == one


def test_the_medoid_is_the_item_nearest_to_the_middle():
    mine = Interests()
    for vector, item in ((A + 0.9 * B, "edge"), (A, "mid"), (A - 0.3 * B, "c"), (A, "mid2")):
        put(mine, vector, item)
    assert mine.clusters[0].item in {"mid", "mid2"}


def test_of_too_many_interests_the_two_nearest_become_one():
    mine = Interests()
    near_a = 0.45 * A + 0.9 * B
    first, second, third = (put(mine, v, i)[0] for v, i in ((A, "a"), (near_a, "n"), (C, "c")))
    for _ in range(3):
        put(mine, A + 0.5 * B, "between")
    assert len(mine.clusters) == 3
    slot, moves = put(mine, D, "d")
    assert moves == {second: first}
    assert slot == second
    assert {one.slot for one in mine.clusters} == {first, second, third}


def test_or_else_the_weakest_goes():
    mine = Interests()
    put(mine, A, "a", 0)
    weak, _ = put(mine, B, "b", 0, strength=2)
    put(mine, C, "c", 0)
    mine.slots = {7: weak}
    slot, moves = put(mine, D, "d", 0)
    assert (slot, moves) == (weak, {weak: LOST})
    assert mine.slots == {7: LOST}


def test_importance_fades_and_reward_weighs_it():
    mine = Interests()
    old, _ = put(mine, A, "a", 0)
    new, _ = put(mine, B, "b", 30 * DAY_MS)
    found = shares(mine, 30 * DAY_MS, S)
    assert found[new] / found[old] == pytest.approx(2.0)
    assert sum(found.values()) == pytest.approx(1.0)
    bad, _ = put(mine, C, "c", 30 * DAY_MS, strength=2)
    assert reward(next(one for one in mine.clusters if one.slot == bad)) < 0.5
    assert shares(mine, 30 * DAY_MS, S)[bad] < found[old]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10**9)),
                max_size=60))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_interests_are_bounded_and_survive_the_codec(steps):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(41, 8)).astype("f4")
    mine = Interests()
    for n, (place, strength, at_ms) in enumerate(steps):
        tags = [(f"t{place % 7}", 0.5)]
        slot, moves = put(mine, vectors[place], f"i{place}", at_ms, strength, tags=tags)
        assert slot not in moves or moves[slot] != slot
        assert slot in {one.slot for one in mine.clusters}
        assert n >= 0
    assert len(mine.clusters) <= 3
    assert len({one.slot for one in mine.clusters}) == len(mine.clusters)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(mine), type=Interests)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(mine)
    found = shares(mine, 10**9, S)
    assert sum(found.values()) == pytest.approx(1.0 if mine.clusters and found else 0.0)


# --- texts


def test_a_text_counts_for_the_interest_of_its_item_also_against_it():
    mine = Interests()
    slot, _ = put(mine, A, "a")
    other, _ = put(mine, B, "b")
    before = shares(mine, 0, S)
    write(mine, said("u", 0, 1, item="a", sentiment=-1.0, tags=[("heist", 1.0)]), slot, S)
    assert mine.clusters[0].negative == 1.0
    assert mine.tags["heist"].sentiment == -1.0
    for _ in range(5):
        write(mine, said("u", 0, 1, item="b", sentiment=0.9), other, S)
    assert shares(mine, 0, S)[other] > before[other]


def test_a_search_counts_for_the_interest_it_is_near_to():
    mine = Interests()
    put(mine, A, "a")
    put(mine, B, "b")
    importance = [one.importance for one in mine.clusters]
    write(mine, said("u", 0, 1, action="search", model="m/1", code=code_of(B + 0.2 * A)), LOST, S)
    assert [one.importance for one in mine.clusters] == [importance[0], importance[1] + 0.5]
    write(mine, said("u", 0, 1, action="search", model="m/2", code=code_of(B)), LOST, S)
    write(mine, said("u", 0, 1, action="search", model="m/1", code=code_of(D)), LOST, S)
    assert mine.clusters[1].importance == importance[1] + 0.5


def test_tags_are_bounded_and_the_lightest_go():
    mine, few = Interests(), msgspec.structs.replace(S, tags_max=2)
    for word, weight in (("a", 0.9), ("b", 0.1), ("c", 0.5)):
        write(mine, said("u", 0, 1, tags=[(word, weight)]), LOST, few)
    assert set(mine.tags) == {"a", "c"}


def test_an_interest_is_called_by_its_tags_or_else_by_its_medoid():
    mine = Interests()
    put(mine, A, "a", tags=[("heist", 0.9), ("bank", 0.5), ("sea", 0.1), ("dog", 0.05)])
    put(mine, B, "b")
    assert [name_of(one) for one in mine.clusters] == ["heist, bank, sea", "Title b"]


# --- mood


def test_a_mood_fades_in_hours_and_late_words_have_faded_already():
    mood, hours = Mood(), MoodSettings(half_life_hours=2.0)
    feel(mood, {"sadness": 1.0}, 0, hours)
    feel(mood, {"joy": 1.0}, 2 * HOUR_MS, hours)
    feel(mood, {"anger": 1.0}, 0, hours)
    assert current(mood, 2 * HOUR_MS, hours) == pytest.approx(
        {"sadness": 0.5, "joy": 1.0, "anger": 0.5}
    )
    assert valence(mood, 2 * HOUR_MS, hours) == pytest.approx(0.0)
    assert abs(valence(mood, 48 * HOUR_MS, hours)) < 0.01


@pytest.mark.parametrize(
    ("mode", "felt", "brighter"),
    [("off", -0.8, 0), ("match", -0.8, -1), ("match", 0.8, 1), ("lift", -0.8, 1), ("lift", 0.8, 0)],
)
def test_a_mood_moves_shares_only_as_its_mode_says(mode, felt, brighter):
    moved = bend({1: 0.5, 2: 0.5}, {1: 0.9, 2: -0.9}, felt, MoodSettings(mode=mode))
    assert np.sign(round(moved[1] - moved[2], 9)) == brighter
    assert sum(moved.values()) == pytest.approx(1.0)
