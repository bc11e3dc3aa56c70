"""Tables and journal on Flink's state, with dicts in Flink's place."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.flink.payload import pack
from operators.flink.state import FlinkTable, Journal, open_journal, open_table, state_name
from operators.stage import BytesCodec, StructCodec
from tests.flink.fakes import FakeContext, FakeMapState


class Counting(FakeMapState):
    """A map state that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__(FakeContext(), "s")
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name):
        if name in {"get", "put", "put_all", "remove", "clear", "keys", "items"}:
            self.calls[name] += 1
        return super().__getattribute__(name)


def table(state, cache_size: int = 100) -> FlinkTable:
    made = FlinkTable(state, StructCodec(list[int]), cache_size)
    made.enter(0)
    return made


KEYS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("delete"), KEYS, st.just(0)),
        st.tuples(st.just("append"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("clear"), st.just(""), st.just(0)),
        st.tuples(st.just("enter"), st.just(""), st.integers(0, 2)),
        st.tuples(st.just("store"), st.just(""), st.just(0)),
        st.tuples(st.just("restart"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


class Beside:
    """A table in three buckets, and dicts that do the same beside it."""

    def __init__(self, cache_size: int) -> None:
        self.context, self.cache_size = FakeContext(), cache_size
        self.now: dict[int, dict[str, list[int]]] = {0: {}, 1: {}, 2: {}}
        self.stored: dict[int, dict[str, list[int]]] = {0: {}, 1: {}, 2: {}}
        self.bucket = 0
        self.restart("", 0)

    @property
    def mine(self) -> dict[str, list[int]]:
        return self.now[self.bucket]

    def restart(self, key: str, number: int) -> None:
        self.table = open_table(self.context, "t", StructCodec(list[int]), self.cache_size)
        self.now = {bucket: dict(values) for bucket, values in self.stored.items()}
        self.enter("", self.bucket)

    def enter(self, key: str, number: int) -> None:
        self.bucket = self.context.key = number
        self.table.enter(number)

    def get(self, key: str, number: int) -> None:
        assert self.table.get(key) == self.mine.get(key)

    def put(self, key: str, number: int) -> None:
        self.table.put(key, [number])
        self.mine[key] = [number]

    def append(self, key: str, number: int) -> None:
        self.table.put(key, [*(self.table.get(key) or []), number])
        self.mine[key] = [*self.mine.get(key, []), number]

    def delete(self, key: str, number: int) -> None:
        self.table.delete(key)
        self.mine.pop(key, None)

    def clear(self, key: str, number: int) -> None:
        self.table.clear()
        self.mine.clear()

    def store(self, key: str, number: int) -> None:
        self.table.store()
        self.stored[self.bucket] = dict(self.mine)


@given(STEPS, st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_a_table_is_a_dict_a_bucket_and_falls_back_to_what_was_stored(steps, cache_size):
    both = Beside(cache_size)
    for kind, key, number in steps:
        getattr(both, kind)(key, number)
        assert both.table.all_keys() == sorted(both.mine)
    for bucket in both.now:
        both.enter("", bucket)
        for key in "abcdef":
            both.get(key, 0)


def test_a_value_is_read_and_decoded_once_while_it_is_remembered():
    state = Counting()
    state._map["a"] = StructCodec(list[int]).encode([1])
    made = table(state)
    values = [made.get("a") for _ in range(5)]
    assert values == [[1]] * 5
    assert all(value is values[0] for value in values)
    assert [made.get("b") for _ in range(5)] == [None] * 5
    assert state.calls == {"get": 2}
    assert (made.reads, made.misses) == (10, 2)


def test_nothing_is_written_before_it_is_time_and_then_all_at_once():
    state = Counting()
    made = table(state)
    for number in range(10):
        made.put(f"k{number % 3}", [number])
    made.put("gone", [1])
    made.delete("gone")
    assert not state._map
    made.store()
    assert state._map == {"k0": b"\x91\x09", "k1": b"\x91\x07", "k2": b"\x91\x08"}
    assert (state.calls["put_all"], state.calls["put"], state.calls["remove"]) == (1, 0, 1)
    state.calls.clear()
    made.store()
    assert not state.calls


def test_a_cleared_table_reads_nothing_of_what_was_stored():
    state = Counting()
    made = table(state)
    made.put("a", [1])
    made.store()
    made.clear()
    state.calls.clear()
    assert made.get("a") is None
    assert made.all_keys() == []
    made.put("b", [2])
    assert made.all_keys() == ["b"]
    assert not state.calls
    assert list(state._map) == ["a"]
    made.store()
    assert state._map == {"b": b"\x91\x02"}


def test_no_more_values_are_remembered_than_two_generations_hold():
    state = Counting()
    made = table(state, cache_size=5)
    for number in range(100):
        made.put(f"k{number}", [number])
        if number % 4 == 3:
            made.store()
    made.store()
    state.calls.clear()
    for number in range(100):
        made.get(f"k{number}")
    remembered = 100 - state.calls["get"]
    assert 0 < remembered <= 2 * (5 + 4)


def test_where_a_bucket_began_empty_only_what_was_forgotten_is_asked_of_the_state():
    state = Counting()
    made = table(state, cache_size=5)
    assert [made.get(f"new{number}") for number in range(50)] == [None] * 50
    assert (state.calls["get"], made.misses) == (0, 0)
    for number in range(50):
        made.put(f"k{number}", [number])
        made.store()
    assert [made.get(f"k{number}") for number in range(50)] == [[n] for n in range(50)]
    assert 0 < state.calls["get"] == made.misses < 50
    asked = state.calls["get"]
    assert [made.get(f"new{number}") for number in range(50)] == [None] * 50
    assert state.calls["get"] - asked < 5
    made.clear()
    asked = state.calls["get"]
    assert [made.get(f"k{number}") for number in range(50)] == [None] * 50
    made.store()
    assert [made.get(f"k{number}") for number in range(50)] == [None] * 50
    assert state.calls["get"] == asked


def test_what_is_used_again_and_again_stays_remembered():
    state = Counting()
    made = table(state, cache_size=5)
    made.put("hot", [1])
    for number in range(200):
        made.get("hot")
        made.get(f"cold{number}")
        made.store()
    state.calls.clear()
    made.get("hot")
    assert not state.calls


def test_a_changed_value_is_remembered_however_small_the_cache():
    made = table(Counting(), cache_size=0)
    for number in range(50):
        made.put(f"k{number}", [number])
    assert [made.get(f"k{number}") for number in range(50)] == [[n] for n in range(50)]


@pytest.mark.parametrize(
    ("version", "meaning", "name"),
    [(1, "", "figures-item-v1"), (3, "", "figures-item-v3"), (1, "ab12", "figures-item-v1-ab12")],
)
def test_a_state_with_another_format_or_meaning_has_another_name(version, meaning, name):
    assert state_name("figures", "item", BytesCodec(version), meaning) == name


def test_a_table_is_opened_under_its_name():
    context = FakeContext()
    made = open_table(context, "the-name", BytesCodec(), 10)
    made.enter(0)
    made.put("a", b"x")
    made.store()
    assert context.stored[None, "the-name"] == {"a": b"x"}


def journal(context: FakeContext, batches_max: int = 100, bytes_max: int = 10**6) -> Journal:
    return open_journal(context, "journal", batches_max, bytes_max)


def test_a_journal_gives_back_what_it_noted_in_order_to_the_next_worker_once():
    context = FakeContext()
    first = journal(context)
    assert first.unread(0) == []
    batches = [f"batch {number}" for number in (*range(25), 3)]
    for batch in batches:
        first.note(0, batch)
    assert first.unread(0) == []
    second = journal(context)
    assert second.unread(0) == batches
    assert second.unread(0) == []
    second.note(0, "one more")
    assert journal(context).unread(0) == [*batches, "one more"]


def test_a_journal_is_full_by_batches_or_by_bytes_also_after_a_restart():
    context = FakeContext()
    one = journal(context, batches_max=3, bytes_max=100)
    one.unread(0)
    one.note(0, "a")
    one.note(0, "b")
    assert not one.full(0)
    again = journal(context, batches_max=3, bytes_max=100)
    again.unread(0)
    assert not again.full(0)
    again.note(0, "c")
    assert again.full(0)
    again.empty(0)
    assert not again.full(0)
    again.note(0, "x" * 99)
    assert not again.full(0)
    again.note(0, "x")
    assert again.full(0)
    third = journal(context, batches_max=3, bytes_max=100)
    third.unread(0)
    assert third.full(0)


def test_an_emptied_journal_has_nothing_to_give_back():
    context = FakeContext()
    one = journal(context)
    one.unread(0)
    one.note(0, "a")
    one.note(0, "a too")
    one.empty(0)
    one.note(0, "b")
    assert journal(context).unread(0) == ["b"]


def test_each_bucket_has_a_journal_of_its_own_and_they_fill_up_at_different_moments():
    context, filled = FakeContext(), {}
    one = journal(context, batches_max=10)
    for bucket in range(5):
        context.key = bucket
        assert one.unread(bucket) == []
        for number in range(10):
            one.note(bucket, f"{bucket}/{number}")
            if one.full(bucket):
                filled[bucket] = number
                break
    assert len(set(filled.values())) == 5
    for bucket in range(5):
        context.key = bucket
        expected = [f"{bucket}/{number}" for number in range(filled[bucket] + 1)]
        assert journal(context).unread(bucket) == expected


@pytest.mark.parametrize("buckets", [2, 4, 16])
def test_buckets_that_start_together_are_stored_at_times_that_lie_evenly(buckets):
    context, full = FakeContext(), []
    one = journal(context, batches_max=100)
    for bucket in range(buckets):
        context.key, batches = bucket, 0
        one.unread(bucket)
        while not one.full(bucket):
            one.note(bucket, "a")
            batches += 1
        full.append(batches)
    gaps = [late - early for early, late in pairwise(sorted(full))]
    assert min([*gaps, 100 - max(full) + min(full)]) >= 100 // (2 * buckets)


def test_the_note_of_a_settling_is_no_batch():
    assert pack([]) != Journal.SETTLED
