"""Pairs of a user's items: window, gaps, rises of strength, the log, erasure."""

from collections import defaultdict

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.history import History
from operators.messages import Learn, PairSeen, PairsSeen, SumTaken
from operators.parameters import HistorySettings
from operators.stage import Out, StructCodec, bucket_of
from operators.waiting import EVENTS_MAX
from operators.window import HistoryCodec
from tests.driven import (
    Driven,
    counted,
    counts,
    earlier_of,
    figures,
    forget,
    pairs_of,
    plain,
    signal,
)


def history(**fields) -> Driven:
    buckets = fields.pop("buckets", 1)
    return Driven(History(HistorySettings(**fields), buckets))


class User:
    """Sends one user's signals to a stage, with the `old` strengths admission would add."""

    def __init__(self, stage: Driven, name: str = "u", tenant: str = "default") -> None:
        self.stage = stage
        self.name, self.tenant = name, tenant
        self.strengths: dict[str, int] = {}
        self.seq = 0

    def touch(self, item: str, strength: int = 10, raw: int = 0) -> list[Out]:
        self.seq += 1
        old = self.strengths.get(item, 0)
        self.strengths[item] = max(old, strength)
        one = signal(self.name, item, 1000 + self.seq, strength, old=old, seq=self.seq,
                     tenant=self.tenant)  # fmt: skip
        return self.stage.send(counted(one, figures(item, raw)))

    def forget(self) -> list[Out]:
        return self.stage.send(forget(self.name, 1000 + self.seq, self.seq, self.tenant))


def pulled_pairs(outs: list[Out]) -> list[tuple[str, int, int]]:
    """(other, weight, short) of one event, nearest first; both ends are told the same weights."""
    learn = outs[0].message
    assert isinstance(learn, Learn)
    seen = [one for out in outs[1:] for one in pairs_of(out.message)]
    assert [(one.item, one.forward) for one in seen] == [
        (other, weight) for other, weight, _ in earlier_of(learn)
    ]
    assert all((one.other, one.backward) == (learn.counted.signal.item, 0) for one in seen)
    return [(one.item, one.forward, one.short) for one in seen]


def test_the_first_item_has_no_pair_and_asks_for_neighbours():
    stage = history()
    one = counted(signal("u", "a", 5, 8))
    (out,) = stage.send(one)
    assert (out.to, out.key) == ("neighbours", "default\x1fa")
    assert out.message == Learn(5, one.event_id, one, 8, [])


def test_each_item_between_costs_a_tenth_of_the_pair_and_seven_tenths_of_the_short_one():
    user = User(history())
    for item in "abc":
        user.touch(item)
    # ten times 100, 90, 81 and 100, 30, 9
    assert pulled_pairs(user.touch("d")) == [("c", 1000, 1000), ("b", 900, 300), ("a", 810, 90)]


def test_other_settings_shape_the_weights():
    user = User(history(gap_decay=0.5, short_decay=0.25))
    for item in "abc":
        user.touch(item, 2)
    assert pulled_pairs(user.touch("d", 2)) == [("c", 200, 200), ("b", 100, 50), ("a", 50, 12)]


@pytest.mark.parametrize(
    ("first", "second", "shared"), [(4, 10, 4), (10, 4, 4), (7, 7, 7), (0, 9, 0), (9, 0, 0)]
)
def test_a_pair_counts_the_smaller_strength_of_its_ends(first, second, shared):
    user = User(history())
    user.touch("a", first)
    outs = user.touch("b", second)
    expected = [("a", 100 * shared, 100 * shared)] if shared else []
    assert pulled_pairs(outs) == expected
    assert outs[0].message.increase == second
    assert len(outs) == 1 + len(expected)


def test_both_ends_of_a_pair_learn_it():
    stage = history()
    user = User(stage)
    user.touch("a", 10, raw=50)
    outs = user.touch("b", 6, raw=200)
    learn, told = outs
    assert (told.to, told.key, learn.key) == ("neighbours", "default\x1fa", "default\x1fb")
    # b came after a: forward at a; 200 / 50 as both were when they were touched
    (seen,) = pairs_of(told.message)
    assert seen == PairSeen(1002, learn.message.event_id, "default", "a", "b", 600, 0, 600,
                            4.0, figures("b", 200))  # fmt: skip
    assert earlier_of(learn.message) == [("a", 600, figures("a", 50))]
    assert learn.message.records[-4:] == np.float32(0.25).tobytes()


def test_an_item_pairs_with_the_last_items_of_the_window_only():
    user = User(history(pair_window=3))
    for item in "abcde":
        outs = user.touch(item)
    assert [other for other, _, _ in pulled_pairs(outs)] == ["d", "c", "b"]
    default = User(history())
    for number in range(25):
        outs = default.touch(f"i{number}")
    assert len(pulled_pairs(outs)) == 20


def test_an_item_touched_again_is_the_newest():
    user = User(history())
    for item in "aba":
        user.touch(item)
    assert pulled_pairs(user.touch("c")) == [("a", 1000, 1000), ("b", 900, 300)]


def test_an_item_makes_no_pair_with_itself_even_if_its_strength_was_forgotten():
    user = User(history())
    user.touch("a")
    user.touch("b")
    user.strengths.clear()
    assert pulled_pairs(user.touch("a")) == [("b", 1000, 1000)]


@pytest.mark.parametrize("repeat", [10, 4])
def test_a_repeat_moves_no_pair_and_asks_again(repeat):
    user = User(history())
    user.touch("a")
    user.touch("b")
    outs = user.touch("b", repeat)
    assert len(outs) == 1
    assert (outs[0].message.increase, outs[0].message.others) == (0, [])
    # and a weaker one leaves the strength
    assert pulled_pairs(user.touch("c"))[0] == ("b", 1000, 1000)


def test_a_rise_adds_only_what_is_new_of_the_pair():
    user = User(history())
    user.touch("a", 6)
    assert pulled_pairs(user.touch("b", 4)) == [("a", 400, 400)]
    user.touch("x", 1)
    outs = user.touch("b", 9)
    # newest first x, b itself, a: min(9, 6) - min(4, 6) = 2 at two places from a
    assert pulled_pairs(outs) == [("a", 162, 18)]
    assert outs[0].message.increase == 5


def test_a_rise_of_the_earlier_item_counts_the_other_way_round():
    user = User(history())
    user.touch("a", 4)
    user.touch("b", 10)
    outs = user.touch("a", 10)
    # a came after b this time: min(10, 10) - min(4, 10) = 6
    assert pulled_pairs(outs) == [("b", 600, 600)]
    (seen,) = pairs_of(outs[1].message)
    assert (seen.item, seen.other, seen.forward, seen.backward) == ("b", "a", 600, 0)


def test_a_rise_in_two_steps_counts_the_item_itself_as_one_between():
    """As the algorithm was measured: places count in the history as it stands."""
    slow = User(history())
    slow.touch("a", 8)
    assert pulled_pairs(slow.touch("b", 4)) == [("a", 400, 400)]
    assert pulled_pairs(slow.touch("b", 8)) == [("a", 4 * 90, 4 * 30)]


STREAM = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 10)), max_size=40)


def totals(outs: list[Out]) -> tuple[dict, dict]:
    """Sums of strengths by item, and of directed pairs by (item, other), of all messages."""
    sums: dict = defaultdict(int)
    pairs: dict = defaultdict(lambda: (0, 0, 0))

    def add(key, *changes):
        pairs[key] = tuple(map(sum, zip(pairs[key], changes, strict=True)))

    for out in outs:
        message = out.message
        if isinstance(message, Learn):
            item = message.counted.signal.item
            sums[item] += message.increase
            for other, weight, _ in earlier_of(message):
                add((item, other), 0, weight, 0)
        elif isinstance(message, SumTaken):
            sums[message.item] -= message.decrease
        else:
            for one in pairs_of(message) if isinstance(message, PairsSeen) else [message]:
                add((one.item, one.other), one.forward, one.backward, one.short)
    return sums, pairs


@given(STREAM)
@settings(deadline=None)
def test_without_gaps_a_pair_sums_up_to_the_smaller_final_strength(steps):
    """The co-rating telescopes: only where the two ends stand in the end counts."""
    user = User(history(gap_decay=1.0, short_decay=1.0))
    outs = [out for item, strength in steps for out in user.touch(item, strength)]
    sums, pairs = totals(outs)
    assert {item: total for item, total in sums.items() if total} == {
        item: strength for item, strength in user.strengths.items() if strength
    }
    for a in user.strengths:
        for b in user.strengths:
            both = 100 * min(user.strengths[a], user.strengths[b]) if a != b else 0
            assert pairs[a, b][0] + pairs[b, a][0] == both
            assert pairs[a, b][0] == pairs[b, a][1] == pairs[a, b][2]


@given(STREAM, STREAM, st.integers(1, 4))
@settings(deadline=None)
def test_an_erasure_takes_back_exactly_what_was_added(steps, again, window):
    stage = history(pair_window=window)
    user, other = User(stage), User(stage, "v")
    outs = [out for item, strength in steps for out in user.touch(item, strength)]
    for item, strength in steps[::2]:
        other.touch(item, strength)
    forgotten = user.forget()
    sums, pairs = totals([*outs, *forgotten])
    assert not any(sums.values())
    assert not any(map(any, pairs.values()))
    user.strengths.clear()
    outs = [out for item, strength in again for out in user.touch(item, strength)]
    sums, pairs = totals([*outs, *user.forget()])
    assert not any(sums.values())
    assert not any(map(any, pairs.values()))


@given(STREAM)
@settings(deadline=None)
def test_what_one_erasure_sends_to_an_item_has_one_order(steps):
    user = User(history())
    for item, strength in steps:
        user.touch(item, strength)
    outs = user.forget()
    keys = [(out.key, History.order(out.message)) for out in outs]
    assert len(set(keys)) == len(keys)
    assert all(out.to == "neighbours" for out in outs)
    assert all(out.message.figures == b"" for out in outs if isinstance(out.message, PairSeen))


def test_a_long_log_is_taken_back_too():
    user = User(history())
    outs = [out for n in range(500) for out in user.touch(f"i{n % 83}", n % 11)]
    sums, pairs = totals([*outs, *user.forget()])
    assert not any(sums.values())
    assert not any(map(any, pairs.values()))


def test_after_an_erasure_only_its_number_is_left():
    stage = history()
    user = User(stage)
    for n in range(200):
        user.touch(f"item-{n}")
    user.forget()
    assert not stage.mentions("item-")
    assert sum(len(table) for table in stage.data().values()) == 1
    assert stage.send(forget("u", 9000, 300)) == []


def test_a_straggler_of_an_erased_user_is_dropped_and_a_new_life_has_no_past():
    stage = history()
    user = User(stage)
    user.touch("a")
    user.touch("b")
    user.forget()
    before = stage.data()
    late = counted(signal("u", "c", 1500, seq=2))
    assert counts(stage.send(late)) == {"after_erasure": 1}
    assert stage.data() == before
    user.strengths.clear()
    assert pulled_pairs(user.touch("c")) == []
    assert pulled_pairs(user.touch("a")) == [("c", 1000, 1000)]


def size(stage: Driven) -> int:
    return sum(len(key) + len(value) for table in stage.data().values()
               for key, value in table.items())  # fmt: skip


def test_repeats_of_the_newest_item_do_not_grow_the_state():
    stage = history()
    user = User(stage)
    user.touch("a")
    user.touch("b", 8)
    before = size(stage)
    for strength in (8, 4, 0) * 50:
        user.touch("b", strength)
    assert size(stage) == before
    user.touch("b", 9)
    assert size(stage) > before


def test_no_value_of_the_state_grows_with_the_length_of_the_history():
    stage = history()
    user = User(stage)

    def largest() -> int:
        return max(len(value) for table in stage.data().values() for value in table.values())

    for n in range(200):
        user.touch(f"i{n:04}")
    first = largest()
    for n in range(200, 2000):
        user.touch(f"i{n:04}")
    assert largest() <= first + 8


def test_a_batch_tells_the_items_of_each_bucket_in_one_message():
    apart, together = history(), history(buckets=4)
    batch = [
        counted(signal(f"u{n % 7}", f"i{n * n % 23}", n, seq=n + 1, event_id=f"e{n}"))
        for n in range(60)
    ]
    expected = [one for message in batch for out in apart.send(message)[1:]
                for one in pairs_of(out.message)]  # fmt: skip
    outs = [out for out in together.send(*batch) if isinstance(out.message, PairsSeen)]
    buckets = [{bucket_of(key, 4) for key in out.message.keys} for out in outs]
    assert buckets == [{0}, {1}, {2}, {3}]
    for out, (bucket,) in zip(outs, buckets, strict=True):
        told = out.message
        assert (told.time_ms, told.event_id) == (told.times_ms[0], told.event_ids[0])
        assert bucket_of(out.key, 4) == bucket
        assert len(set(told.event_ids)) == len(told.event_ids)
        assert pairs_of(told) == [
            one for one in expected if bucket_of(f"default\x1f{one.item}", 4) == bucket
        ]


def test_a_flood_is_told_in_several_messages_and_in_order():
    stage = history(pair_window=3)
    batch = [counted(signal("u", f"i{n}", n, seq=n + 1)) for n in range(2 * EVENTS_MAX + 9)]
    outs = [out for out in stage.send(*batch) if isinstance(out.message, PairsSeen)]
    sizes = [len(out.message.times_ms) for out in outs]
    assert len(sizes) == 3
    assert max(sizes) <= EVENTS_MAX
    assert sum(sizes) == len(batch) - 1
    times_ms = [one.time_ms for out in outs for one in pairs_of(out.message)]
    assert times_ms == sorted(times_ms)


def test_a_history_stored_in_rows_is_read_and_written_as_before():
    """The bytes are a list of (item, strength, figures) and three numbers."""
    rows = [(f"i{n}", n % 11, figures(f"i{n}", n)) for n in range(5)]
    packed = StructCodec(tuple[list, int, int, int]).encode((rows, 5, 3, 1000))
    user = HistoryCodec().decode(packed)
    assert user.items == [f"i{n}" for n in range(5)]
    assert (user.logged, user.erased_seq, user.last_ms) == (5, 3, 1000)
    assert HistoryCodec().encode(user) == packed


@given(STREAM, st.integers(1, 4))
@settings(deadline=None)
def test_a_history_goes_on_from_its_bytes_as_from_memory(steps, window):
    stored = User(history(pair_window=window, buckets=3))
    kept = User(Driven(History(HistorySettings(pair_window=window), 3), plain))
    for item, strength in steps:
        said = [[pairs_of(out.message) for out in user.touch(item, strength)[1:]]
                for user in (stored, kept)]  # fmt: skip
        bare = [[[msgspec.structs.replace(one, event_id="") for one in pairs] for pairs in outs]
                for outs in said]  # fmt: skip
        assert bare[0] == bare[1]


def test_users_and_tenants_have_histories_of_their_own():
    stage = history()
    User(stage).touch("a")
    assert pulled_pairs(User(stage, "v").touch("b")) == []
    assert pulled_pairs(User(stage, "u", "shop").touch("b")) == []
    (out,) = User(stage, "u", "shop2").touch("b")
    assert out.key == "shop2\x1fb"
