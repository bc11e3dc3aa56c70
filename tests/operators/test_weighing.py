"""Scores of candidates: what is not measured changes none of them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.candidates import BEST_AT, COLUMNS, CONTENT, MAIN
from operators.features import FEATURES
from operators.weighing import behind, weigh

NONE = np.empty(0, np.uint64)
MOMENT = np.array([-2.3, -1.9, 50.0, 40.0, 41.0, 1000.0])


def population(seed: int, own: int, shared: int):
    """Rows of a user and of a shelf, some of them of the same items."""
    random = np.random.default_rng(seed)
    rows = random.random((own + shared, COLUMNS)).astype(np.float32)
    rows[random.random(len(rows)) < 0.3, MAIN] = 0
    rows[random.random(len(rows)) < 0.5, CONTENT] = 0
    rows[own:, MAIN] = rows[own:, CONTENT] = 0
    keys = random.permutation(own + shared).astype(np.uint64)
    keys[own:] = random.permutation(own + shared)[:shared]
    return rows[:own], keys[:own], rows[own:], keys[own:]


def weighed(population, seen, weights, snapshot):
    taste = np.array([5, 77], np.int64), np.array([1.5, -0.5], np.float32)
    return weigh(*population, seen, NONE, np.empty(0, np.uint16), *taste, 5, MOMENT, weights,
                 snapshot)  # fmt: skip


SIZES = st.integers(0, 30)
WEIGHTS = st.lists(
    st.sampled_from([0.0, 0.0, 0.5, -1.25, 4.0]), min_size=len(FEATURES), max_size=len(FEATURES)
)


@given(st.integers(0, 2**32), SIZES, SIZES, WEIGHTS, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_scores_are_those_of_all_features_and_the_snapshot_holds_all(
    seed, own, shared, weights, snapshot
):
    them, values = population(seed, own, shared), np.array(weights)
    seen = np.arange(0, 60, 7, dtype=np.uint64)
    rows, places, best_keys, scores, parts, kept, _ = weighed(them, seen, values, snapshot)
    every = weighed(them, seen, np.full(len(FEATURES), 1e-9), 1000)
    features = {place: row.astype(float) for place, row in zip(every[1], every[5], strict=True)}
    keys = np.concatenate([them[1], them[3]])
    assert len(rows) == own + shared
    assert best_keys.tolist() == keys[places].tolist()
    assert sorted(places) == sorted(features)
    wanted = [place for place in range(len(rows)) if place < own or
              (keys[place] not in seen and keys[place] not in keys[:own])]  # fmt: skip
    assert sorted(places) == wanted
    assert len(kept) == min(snapshot, len(places))
    for place, row in zip(places, kept, strict=False):
        assert row.tolist() == features[place].tolist()
    by_hand = [features[place] @ values for place in places]
    np.testing.assert_allclose(scores, by_hand, rtol=1e-4, atol=1e-4)
    items = [features[place][13:] @ values[13:] for place in places]
    np.testing.assert_allclose(parts, items, rtol=1e-4, atol=1e-4)
    order = list(zip(-scores, places, strict=True))
    assert order == sorted(order)


@given(st.integers(0, 2**32), SIZES, st.lists(st.integers(0, 2), max_size=40))
@settings(max_examples=60, deadline=None)
def test_items_are_one_when_all_that_is_behind_them_is(seed, own, slots):
    random = np.random.default_rng(seed)
    rows, count = random.integers(0, 2, (own + 30, COLUMNS)).astype(np.float32), len(slots)
    places = random.permutation(own + 30)[:count]
    shelf_sources, shelf_lists = random.integers(2, 4, 30), random.integers(0, 2, 30)
    slots = np.array(slots[: len(places)], np.int64)
    sources, seeds, different, which = behind(
        rows, places, own, shelf_sources, shelf_lists, slots, 1
    )
    lists = [-1 if place < own else shelf_lists[place - own] for place in places]
    told = list(zip(sources, slots, seeds, lists, strict=True))
    assert list(map(tuple, different.tolist())) == list(dict.fromkeys(told))
    assert list(map(tuple, different[which])) == told
    assert seeds.tolist() == rows[places, BEST_AT].tolist()
    for place, source, list_ in zip(places, sources, lists, strict=True):
        if place < own:
            assert list_ == -1
            assert source == (rows[place, CONTENT] > rows[place, MAIN])
        else:
            assert (source, list_) == (shelf_sources[place - own], shelf_lists[place - own])
