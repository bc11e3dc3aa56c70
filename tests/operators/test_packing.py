"""Packed records: bytes on every machine the same, sums of logarithms right."""

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators.kernels import ratio_of
from operators.packing import (
    EPOCH_MS,
    FIGURES,
    HOUR_MS,
    NEVER_LOG2,
    PULLED,
    category_code,
    codes_in,
    contained,
    item_key,
    key_of,
    keys_in,
    log2_add,
    log2_subtract,
    pack_figures,
    raw_of,
    words,
)


def test_sizes_of_the_records():
    # key 8, three counts of 4, three floats of 4, six codes of 2
    assert FIGURES.itemsize == 8 + 12 + 12 + 12
    assert PULLED.itemsize == 8 + FIGURES.itemsize


@pytest.mark.parametrize("dtype", [FIGURES, PULLED])
def test_all_fields_are_little_endian_and_without_gaps(dtype):
    place = 0
    for name in dtype.names:
        kind, offset = dtype.fields[name][:2]
        assert offset == place, name
        assert kind.base.newbyteorder("<") == kind.base, name
        place += kind.itemsize
    assert place == dtype.itemsize


# b2sum -l 64 and -l 32 of the UTF-8 bytes
B2_64 = {"i1": "ae2a1effba11cf0a", "Amélie": "32dc7aff9beff177"}
B2_32 = {"drama": "e73f0bca", "战争": "0230c707"}


@pytest.mark.parametrize(("item", "digest"), B2_64.items())
def test_the_key_of_an_item_is_blake2b_read_little_endian(item, digest):
    assert item_key(item) == struct.unpack("<Q", bytes.fromhex(digest))[0]


@pytest.mark.parametrize(("category", "digest"), B2_32.items())
def test_the_code_of_a_category_is_four_bits_and_twelve_of_its_blake2b(category, digest):
    number = struct.unpack("<I", bytes.fromhex(digest))[0]
    high, low = divmod(category_code(category), 4096)
    assert (high, low) == (number >> 28, number % 4095 + 1)


@given(st.text())
def test_a_category_never_has_the_code_of_none(category):
    code = category_code(category)
    assert 1 <= code <= 65_535
    assert code % 4096, "the taste uses the low twelve bits alone"


def test_figures_byte_by_byte():
    first_ms = EPOCH_MS + 36 * HOUR_MS
    packed = pack_figures(0x0102030405060708, (258, 3, 4), (1.5, -2.0), first_ms, ["drama"])
    assert packed == (
        bytes([8, 7, 6, 5, 4, 3, 2, 1])
        # 258, 3, 4, 1.5, -2.0, 36.0 in IEEE 754
        + bytes.fromhex("00008143 00004040 00008040 0000c03f 000000c0 00001042")
        + category_code("drama").to_bytes(2, "little")
        + bytes(10)
    )
    assert raw_of(packed) == 258
    assert key_of(packed) == 0x0102030405060708


def test_figures_read_back_as_records():
    packed = pack_figures(7, (-1, 2, 3), (4.0, 5.0), EPOCH_MS - HOUR_MS, list("abcdefgh"))
    packed += pack_figures(9, (0, 0, 0), (NEVER_LOG2, NEVER_LOG2), 0, [])
    rows = np.frombuffer(packed, FIGURES)
    assert rows["key"].tolist() == [7, 9]
    assert rows["raw"].tolist() == [-1, 0]
    assert (rows["likes"][0], rows["users"][0]) == (2, 3)
    assert (rows["likes_1d"][0], rows["likes_30d"][0]) == (4.0, 5.0)
    assert rows["first_h"].tolist() == [-1.0, np.float32(-EPOCH_MS / HOUR_MS)]
    assert rows["codes"][0].tolist() == [category_code(one) for one in "abcdef"]
    assert rows["codes"][1].tolist() == [0] * 6


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.lists(st.text(), max_size=6))))
def test_keys_and_codes_are_found_in_the_words_of_records(items):
    packed = b"".join(pack_figures(key, (1, 1, 1), (0.0, 0.0), 0, names) for key, names in items)
    matrix = words(packed, FIGURES)
    assert matrix.shape == (len(items), 11)
    assert keys_in(matrix[:, :2]).tolist() == [key for key, _ in items]
    codes = codes_in(matrix[:, 8:]).tolist()
    for (_, names), got in zip(items, codes, strict=True):
        assert got == [*map(category_code, names), *[0] * (6 - len(names))]
    # a copy of the words, as joins make, keeps every bit, also of keys that are no number
    assert matrix[::-1].copy()[::-1].tobytes() == packed


KEYS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1)), max_size=20)


@given(KEYS, KEYS)
def test_contained_is_membership(keys, within):
    found = contained(np.array(keys, np.uint64), np.array(sorted(set(within)), np.uint64))
    assert found.tolist() == [key in within for key in keys]


@pytest.mark.parametrize(
    ("own", "other", "ratio"), [(10, 5, 2.0), (5, 10, 0.5), (0, 5, 1.0), (5, 0, 1.0), (-1, 5, 1.0)]
)
def test_the_ratio_is_1_where_a_sum_is_missing(own, other, ratio):
    assert ratio_of(own, other) == ratio


LOGS = st.floats(-500, 500)


@given(LOGS, LOGS)
def test_log2_add_adds(a, b):
    assert log2_add(a, b) == pytest.approx(math.log2(2.0**a + 2.0**b), abs=1e-9)
    assert log2_add(a, b) == log2_add(b, a)
    assert log2_add(a, b) >= max(a, b)


@given(LOGS, LOGS, st.integers(-(10**6), 10**6))
def test_log2_add_needs_no_small_numbers(a, b, shift):
    """2^1000000 has no float; hours since 2000 are as large as that."""
    assert log2_add(a + shift, b + shift) == pytest.approx(log2_add(a, b) + shift, abs=1e-6)


@given(st.floats(-1e6, 1e6))
def test_adding_to_nothing_and_taking_all(a):
    assert log2_add(NEVER_LOG2, a) == a
    assert log2_add(a, NEVER_LOG2) == a
    assert log2_subtract(a, a) == NEVER_LOG2
    assert log2_subtract(NEVER_LOG2, a) == NEVER_LOG2
    assert log2_subtract(a, a + 1) == NEVER_LOG2
    assert log2_subtract(a, NEVER_LOG2) == a


@given(LOGS, st.floats(-15, 500))
@example(0.0, 0.0)
def test_log2_subtract_takes_back_what_log2_add_added(b, above):
    a = b + above
    assert log2_subtract(log2_add(a, b), b) == pytest.approx(a, abs=1e-6)


@given(st.lists(st.floats(-40, 40), min_size=1, max_size=30))
def test_many_terms_in_any_order_sum_up(terms):
    total = NEVER_LOG2
    for term in terms:
        total = log2_add(total, term)
    direct = math.log2(math.fsum(2.0**term for term in terms))
    assert total == pytest.approx(direct, abs=1e-9)
    assert np.isfinite(np.float32(total))
