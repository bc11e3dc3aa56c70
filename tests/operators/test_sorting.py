"""Few hundred numbers in order, as numpy has them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.sorting import ascending, largest

NUMBERS = st.lists(
    st.one_of(st.integers(-3, 3).map(float), st.floats(allow_nan=False, width=32)), max_size=80
)


@given(NUMBERS)
def test_places_are_those_of_a_stable_sort(numbers):
    values = np.array(numbers)
    assert ascending(values).tolist() == np.argsort(values, kind="stable").tolist()


@given(NUMBERS.filter(bool), st.data())
def test_the_largest_keep_their_order_and_of_equal_ones_the_first_stays(numbers, data):
    values = np.array(numbers, np.float32)
    count, before = data.draw(st.integers(1, len(values))), values.copy()
    best = np.argsort(-values, kind="stable")[:count]
    assert largest(values, count).tolist() == sorted(best.tolist())
    assert values.tolist() == before.tolist()


def test_a_full_list_of_candidates_in_any_order():
    rng = np.random.default_rng(5)
    for values in (rng.random(300), np.sort(rng.random(300)), -np.arange(300.0), np.zeros(300)):
        assert ascending(values).tolist() == np.argsort(values, kind="stable").tolist()
        best = np.argsort(-values, kind="stable")[:200]
        assert largest(values, 200).tolist() == sorted(best.tolist())
