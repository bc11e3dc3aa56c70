"""The filter of known items: never a no to a known one, seldom a yes to another."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators import seen
from operators.packing import item_key
from operators.seen import SeenFilter
from operators.served import meet, note_known


@given(st.lists(st.text(min_size=1), max_size=200))
def test_a_known_item_is_always_found(items):
    packed = seen.build([item_key(item) for item in items], len(items))
    assert all(item in SeenFilter(bytes(packed)) for item in items)


@given(st.sets(st.integers(0, 2**64 - 1), max_size=20), st.sampled_from([64, 128, 4096]))
def test_the_compiled_way_to_add_sets_the_same_bits(keys, size):
    plain, compiled = bytearray(size), bytearray(size)
    for key in keys:
        seen.add(plain, key)
        note_known(np.frombuffer(compiled, np.uint8), np.uint64(key))
    assert compiled == plain


@given(st.lists(st.integers(0, 9) | st.integers(0, 2**64 - 1), max_size=20))
def test_keys_stay_sorted_and_single_beside_their_filter(met):
    keys, known = np.empty(0, np.uint64), bytearray(64)
    for key in met:
        keys = meet(keys, np.uint64(key), np.frombuffer(known, np.uint8))
    assert keys.tolist() == sorted(set(met))
    plain = bytearray(64)
    for key in met:
        seen.add(plain, key)
    assert known == plain


@given(st.integers(0, 2**64 - 1), st.sampled_from([64, 128, 4096]))
@example(0, 64)
@example(2**63, 4096)
def test_every_key_has_seven_places_of_its_own_in_every_size(key, size):
    """An odd step meets every place of a power of two before it meets one again."""
    packed = bytearray(size)
    seen.add(packed, key)
    assert sum(byte.bit_count() for byte in packed) == 7
    assert len(packed) == size


def test_adding_one_by_one_is_building_at_once():
    keys = [item_key(f"i{n}") for n in range(40)]
    packed = bytearray(seen.size_for(40))
    for key in keys:
        seen.add(packed, key)
    assert packed == seen.build(keys, 40)


@pytest.mark.parametrize(
    ("items", "size"),
    [(0, 64), (1, 64), (51, 64), (52, 128), (102, 128), (104, 256), (1638, 2048), (1640, 4096),
     (3277, 4096), (10**9, 4096)],
)  # fmt: skip
def test_a_filter_has_ten_bits_an_item_in_a_power_of_two_of_bytes_within_bounds(items, size):
    assert seen.size_for(items) == size


@pytest.mark.parametrize("items", [50, 100, 409, 1638, 3200])
def test_about_one_in_a_hundred_unknown_items_is_taken_for_known_at_full_size(items):
    """At ten bits an item and seven probes, (1 - e^-0.7)^7 = 0.8 %."""
    known = SeenFilter(bytes(seen.build((item_key(f"i{n}") for n in range(items)), items)))
    wrong = sum(f"other{n}" in known for n in range(10_000))
    assert 20 <= wrong <= 200


def test_an_empty_filter_knows_nothing():
    assert "i1" not in SeenFilter(b"")
    assert "i1" not in SeenFilter(bytes(64))
