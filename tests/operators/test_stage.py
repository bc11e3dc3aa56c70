"""Keys, buckets, times of writing, codecs: what all stages stand on."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators.stage import (
    BytesCodec,
    DictTable,
    StructCodec,
    bucket_of,
    in_turn,
    pair_key,
    scoped,
    settle_nothing,
    tick,
)

NAMES = st.text("12:a\x1f", max_size=4)
TENANTS = st.text("12:a", min_size=1, max_size=3)
"""Few characters, among them those the keys are built with; a tenant has no control characters."""


@given(NAMES, NAMES, NAMES, NAMES)
def test_two_pairs_never_have_one_key(owner, name, other_owner, other_name):
    same = (owner, name) == (other_owner, other_name)
    assert (pair_key(owner, name) == pair_key(other_owner, other_name)) == same


@given(TENANTS, NAMES, TENANTS, NAMES)
@example("a", "1", "a1", "")
@example("a", "\x1f1", "a\x20", "1")
def test_two_tenants_never_share_a_key(tenant, name, other_tenant, other_name):
    same = (tenant, name) == (other_tenant, other_name)
    assert (scoped(tenant, name) == scoped(other_tenant, other_name)) == same


def test_keys_that_look_alike_differ():
    assert len({pair_key("a", "bc"), pair_key("ab", "c"), pair_key("1:a", "b"), pair_key("", "abc"),
                pair_key("a", "1:b"), pair_key("a:b", "c"), pair_key("a", "b:c")}) == 7  # fmt: skip


@pytest.mark.parametrize(
    ("key", "checksum"),
    # the check value of CRC-32, and two of the tools that print it
    [("123456789", 0xCBF43926), ("", 0), ("a", 0xE8B7BE43)],
)
def test_a_bucket_is_the_crc_32_of_the_key(key, checksum):
    """State lives in buckets: another function would look for it elsewhere."""
    for buckets in (1, 7, 16, 720):
        assert bucket_of(key, buckets) == checksum % buckets


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 720))
def test_every_key_has_a_bucket(key, buckets):
    assert 0 <= bucket_of(key, buckets) < buckets


@pytest.mark.parametrize(
    ("clock_us", "time_ms", "written_us"),
    [(0, 5, 5000), (5000, 5, 5001), (5001, 5, 5002), (9000, 5, 9001), (4999, 5, 5000), (0, 0, 1)],
)
def test_a_row_is_of_its_event_but_later_than_the_last(clock_us, time_ms, written_us):
    assert tick(clock_us, time_ms) == written_us


@given(st.lists(st.integers(0, 2**53 // 1000)))
def test_write_times_only_rise(times):
    clock_us, written = 0, []
    for time_ms in times:
        clock_us = tick(clock_us, time_ms)
        written.append(clock_us)
        assert clock_us >= 1000 * time_ms
    assert written == sorted(set(written))


def test_a_struct_codec_holds_what_it_reads_against_its_type():
    codec = StructCodec(list[int], version=3)
    assert codec.version == 3
    assert codec.decode(codec.encode([1, 2])) == [1, 2]
    with pytest.raises(msgspec.ValidationError):
        codec.decode(msgspec.msgpack.encode(["x"]))


def test_a_long_value_is_stored_in_short_and_one_that_was_not_is_read():
    codec, value = StructCodec(list[str]), ["same again"] * 1000
    plain = msgspec.msgpack.encode(value)
    assert len(codec.encode(value)) < len(plain) / 10
    assert codec.decode(codec.encode(value)) == codec.decode(plain) == value
    with pytest.raises(OSError, match=r"(?i)lz4|corrupt"):
        codec.decode(codec.encode(value)[:-3])


def test_the_table_of_tests_passes_every_value_through_its_codec():
    table = DictTable(StructCodec(list[int]))
    value = [1]
    table.put("b", value)
    value.append(2)
    assert table.get("b") == [1]
    assert table.get("b") is not table.get("b")
    table.put("a", [])
    assert (table.all_keys(), list(table.items())) == (["a", "b"], [("a", []), ("b", [1])])
    table.delete("a")
    table.delete("never there")
    assert (table.get("a"), table.all_keys()) == (None, ["b"])
    table.clear()
    assert table.all_keys() == []
    assert BytesCodec().decode(BytesCodec().encode(b"x")) == b"x"
    assert settle_nothing(None) == []


def test_what_waits_goes_round_in_its_order():
    waiting, turn = DictTable(StructCodec(str)), DictTable(StructCodec(str))
    for name in "abcde":
        waiting.put(name, name)
    assert in_turn(waiting, turn, 2) == ["a", "b"]
    assert in_turn(waiting, turn, 2) == ["c", "d"]
    assert in_turn(waiting, turn, 2) == ["e", "a"]
    waiting.delete("b")
    assert in_turn(waiting, turn, 2) == ["c", "d"]
    assert in_turn(waiting, turn, 4) == in_turn(waiting, turn, None) == ["a", "c", "d", "e"]
