"""Many messages of an item at once: a batch, and a run of its pairs, are each of them in turn."""

from collections import defaultdict
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import runs
from operators.heard import Heard, learned
from operators.history import History
from operators.id_list import split
from operators.messages import ItemExpired, PairsSeen, SumTaken, order
from operators.packing import item_key
from operators.pairs import ItemNeighbours, NeighboursCodec, SegmentCodec
from operators.parameters import HistorySettings
from operators.stage import DictTable
from tests.driven import (
    TENANT,
    Driven,
    counted,
    earlier_of,
    figures,
    learn,
    near_to,
    new_id,
    pair_seen,
    pairs_of,
    signal,
)
from tests.operators.test_neighbours import RATIOS, neighbours

ITEMS = st.integers(0, 12).map("i{}".format)
SAID = st.one_of(
    st.tuples(st.just("seen"), ITEMS, ITEMS, st.integers(-2, 3), st.sampled_from(RATIOS)),
    st.tuples(st.just("seen"), ITEMS, ITEMS, st.integers(-2, 3), st.sampled_from(RATIOS)),
    st.tuples(st.just("learn"), ITEMS, st.lists(ITEMS, max_size=9), st.integers(-2, 3)),
    st.tuples(st.just("taken"), ITEMS, ITEMS, st.integers(-3, -1)),
    st.tuples(st.just("less"), ITEMS, st.integers(1, 5)),
    st.tuples(st.just("near"), ITEMS, ITEMS),
    st.tuples(st.just("expired"), ITEMS),
)


def message_of(number: int, kind: str, item: str, *rest):
    """A message of a place in the batch; sums fall below zero too."""
    if kind == "seen":
        other, weight, ratio = rest
        return pair_seen(item, other, weight, 0, weight, ratio=ratio, at_ms=number)
    if kind == "learn":
        others, weight = rest
        pairs = [(other, weight, 0, figures(other, raw=len(other))) for other in others]
        return learn(counted(signal("u", item, number, strength=5)), 5, *pairs)
    if kind == "taken":
        other, weight = rest
        return pair_seen(item, other, weight, 0, weight, figured=b"", at_ms=number)
    if kind == "less":
        return SumTaken(number, new_id(), TENANT, item, rest[0])
    if kind == "near":
        return near_to(item, rest[0], 0.5, at_ms=number)
    return ItemExpired(number, new_id(), TENANT, item)


def run_of(*pairs):
    """A run in the form of earlier releases."""
    return learned(learn(counted(signal("u", "a")), 5, *pairs)).run()


@given(
    st.lists(SAID, max_size=50), st.sampled_from([1, 4, 100]), st.sampled_from([5, 50_000]),
    st.sampled_from([2, 3, 256]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_batch_is_its_messages_one_by_one(said, rows_max, pairs_max, a_segment):
    """Sums below zero too, as an erasure leaves them that comes before what it takes back."""
    messages = [message_of(number, *one) for number, one in enumerate(said)]
    whole, apart = (neighbours(rows_max=rows_max, pairs_max=pairs_max) for _ in range(2))
    with patch.object(runs, "PAIRS_A_SEGMENT", a_segment):
        outs = sorted(whole.send(*messages), key=lambda out: order(out.message))
        assert [out for message in messages for out in apart.send(message)] == outs
    assert apart.data() == whole.data()
    assert apart.settle() == whole.settle()


TOUCHES = st.lists(
    st.tuples(st.sampled_from("uvw"), ITEMS, st.integers(0, 10)), min_size=1, max_size=60
)


def in_the_form_of_earlier_releases(message):
    """What a journal holds that was written before pairs went out together."""
    if isinstance(message, PairsSeen):
        return pairs_of(message)
    pairs = [(other, weight, 0, packed) for other, weight, packed in earlier_of(message)]
    return [learn(message.counted, message.increase, *pairs)]


@given(TOUCHES, st.integers(1, 4), st.sampled_from([2, 100]), st.sampled_from([2, 256]))
@settings(max_examples=100, deadline=None)
def test_pairs_that_go_out_together_are_those_one_by_one(touches, batches, rows_max, a_segment):
    """Of several users and buckets, in several batches; what is said of an item keeps its order."""
    sources = [Driven(History(HistorySettings(), 3)) for _ in range(2)]
    together, apart = (neighbours(rows_max=rows_max) for _ in range(2))
    with patch.object(runs, "PAIRS_A_SEGMENT", a_segment):
        for batch in range(batches):
            told = []
            for number in range(batch, len(touches), batches):
                user, item, strength = touches[number]
                one = signal(user, item, number, strength, seq=number + 1)
                message = counted(one, figures(item, raw=number))
                told += sources[user == "u"].send(message)
            messages = [out.message for out in told]
            earlier = [one for told in messages for one in in_the_form_of_earlier_releases(told)]
            answers = [sorted(stage.send(*some), key=lambda out: order(out.message))
                       for stage, some in ((together, messages), (apart, earlier))]  # fmt: skip
            assert answers[0] == answers[1]
            assert together.data() == apart.data()


@pytest.mark.parametrize("less", [20, 100, 1000])
def test_a_sum_below_zero_stops_neither_answers_nor_the_list_of_similar_items(less):
    """Where an erasure comes before what it takes back: 20 and 100 made a formula divide by 0."""
    stage = neighbours(content_until=2.0, damping=100.0)
    stage.send(message_of(1, "less", "a", less), message_of(2, "seen", "a", "b", 3, 1.0))
    stage.send(near_to("a", "c", 0.5, at_ms=3))
    (row,) = [out.message for out in stage.settle()]
    assert set(row.ids) == {"b", "c"}
    (answer,) = stage.send(learn(counted(signal("u", "a", 4, strength=5)), 0))
    assert split(answer.message.ids) == ["b", "c"]


@given(
    st.lists(st.tuples(ITEMS, st.integers(-2, 3)), max_size=40), st.sampled_from([1, 4, 100]),
    st.sampled_from([5, 50_000]), st.sampled_from([2, 3, 256]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_run_of_pairs_is_its_pairs_one_by_one(pairs, rows_max, pairs_max, a_segment):
    bounds = runs.Bounds(pairs_max, rows_max, (0.7, 100.0))
    run = run_of(*((other, weight, 0, figures(other, raw=len(other))) for other, weight in pairs))
    whole, apart = (ItemNeighbours(sum=3) for _ in range(2))
    together, single = DictTable(SegmentCodec()), DictTable(SegmentCodec())
    with patch.object(runs, "PAIRS_A_SEGMENT", a_segment):
        runs.add(together, "a", whole, run, bounds)
        for number in range(len(pairs)):
            runs.add(single, "a", apart, run.part(number, number + 1), bounds)
    assert single.data == together.data
    assert NeighboursCodec().encode(apart) == NeighboursCodec().encode(whole)
    sums: dict[str, int] = defaultdict(int)
    for other, weight in pairs:
        sums[other] += weight
    segments = [segment for _, segment in together.items()]
    found = {other: segment.sums[place, 1] for segment in segments
             for place, other in enumerate(segment.ids)}  # fmt: skip
    for segment in segments:
        keys = segment.pairs[:2].T.copy().view("<u8")[:, 0]
        assert keys.tolist() == [item_key(other) for other in segment.ids]
    if pairs_max > len(pairs):
        assert found == {other: weight for other, weight in sums.items() if weight}


@given(
    st.lists(st.tuples(ITEMS, st.integers(-2, 9), st.sampled_from(RATIOS)), max_size=40),
    st.integers(0, 40), st.integers(0, 9), st.integers(0, 9), st.sampled_from([2, 4, 100]),
    st.sampled_from([2, 3, 256]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_sum_that_grows_within_a_run_is_two_runs(
    pairs, early, before, increase, rows_max, a_segment
):
    bounds = runs.Bounds(50_000, rows_max, (0.7, 1.0))
    records = [runs.packed(figures(other), (weight, 0, 0), ratio) for other, weight, ratio in pairs]
    heard = Heard([other for other, *_ in pairs], bytearray(b"".join(records)))
    whole, apart = ItemNeighbours(sum=before + increase), ItemNeighbours(sum=before)
    together, single = DictTable(SegmentCodec()), DictTable(SegmentCodec())
    with patch.object(runs, "PAIRS_A_SEGMENT", a_segment):
        runs.add(together, "a", whole, heard.run(early, float(before)), bounds)
        runs.add(single, "a", apart, heard.run().part(0, early), bounds)
        apart.sum += increase
        runs.add(single, "a", apart, heard.run().part(early, len(pairs)), bounds)
    assert single.data == together.data
    assert NeighboursCodec().encode(apart) == NeighboursCodec().encode(whole)
