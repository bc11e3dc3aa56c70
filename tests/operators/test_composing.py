"""What may stand where in a list, by the strategy of its surface."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.composing import (
    FIRST,
    Offer,
    Strategy,
    compose,
    give,
    goes_by_score,
    in_order,
)
from operators.messages import SOURCES


def offer(*kinds: tuple[str, int], contextual=()) -> Offer:
    sources = [SOURCES.index(source) for source, _ in kinds]
    return Offer(np.array(sources, int), np.array([slot for _, slot in kinds], int),
                 np.array([n in contextual for n in range(len(kinds))], bool))  # fmt: skip


CF = [("co_occurrence", 1)] * 20 + [("co_occurrence", 2)] * 5


def numbers(places) -> list[int]:
    return places.numbers.tolist()


def test_a_second_interest_gets_places_that_its_scores_would_not_earn():
    places = compose(offer(*CF), Strategy(interest_places=2), {1: 0.6, 2: 0.4}, 0, 15)
    assert np.flatnonzero(places.given).tolist() == [4, 9]
    assert numbers(places)[4] == 20
    one_short = compose(offer(*CF), Strategy(interest_places=2), {1: 0.81, 2: 0.19}, 0, 15)
    assert not one_short.given.any()
    assert numbers(compose(offer(*CF), Strategy(interest_places=0), {1: 1.0}, 0, 15)) == [
        *range(15)
    ]


def test_newcomers_come_before_the_explored_places_and_what_gives_way_behind_the_first_ten():
    mixed = [("co_occurrence", 1)] * 12 + [("fresh", 0)] + [("content", 0)] * 3
    strategy = Strategy(interest_places=0, explore_places=1)
    places = compose(offer(*mixed), strategy, {}, 0, 15)
    found = give(places, [14, 13, 15], 2, strategy)
    assert numbers(found) == [0, 1, 2, 3, 4, 5, 6, 14, 13, 12, 7, 8, 9, 10, 11]
    assert np.flatnonzero(found.given).tolist() == [7, 8, 9]
    assert numbers(give(places, [2, 14], 1, strategy))[8] == 14  # 2 stands there already


@given(
    st.integers(0, 25), st.integers(0, FIRST), st.integers(0, 3),
    st.lists(st.integers(0, 24), unique=True, max_size=FIRST),
)  # fmt: skip
@example(13, 9, 2, [0, 1, 2, 3, 8, 9, 10, 11, 12])
@settings(max_examples=150, deadline=None)
def test_newcomers_take_places_and_nothing_else_is_lost(size, count, explored, newcomers):
    strategy = Strategy(interest_places=0, explore_places=explored)
    plain = compose(offer(*[("co_occurrence", 0)] * size), strategy, {}, 0, 30)
    found = give(plain, [n for n in newcomers if n < size], count, strategy)
    assert sorted(numbers(found)) == sorted(numbers(plain))
    first, due = numbers(found)[:FIRST], [n for n in newcomers if n < size][:count]
    assert size < FIRST or set(due[: FIRST - explored]) <= set(first)
    assert len(set(numbers(plain)[:FIRST]) - set(first)) <= count


def test_by_interests_alone_all_ten_follow_the_shares():
    places = compose(offer(*CF), Strategy(kind="interests"), {1: 0.7, 2: 0.3}, 0, 10)
    assert (places.slots == 2).sum() == 3


def test_history_puts_shared_lists_last_and_context_puts_the_segment_first():
    mixed = [("trending", 0), ("co_occurrence", 1), ("trending", 0), ("content", 1)]
    history = compose(offer(*mixed), Strategy(kind="history"), {}, 0, 10)
    assert numbers(history) == [1, 3, 0, 2]
    context = compose(offer(*mixed, contextual=[2]), Strategy(kind="context"), {}, 0, 10)
    assert numbers(context) == [2, 0, 1, 3]


def test_a_quota_holds_for_the_first_ten_only():
    mixed = [("trending", 0)] * 15 + [("co_occurrence", 1)] * 9
    places = compose(offer(*mixed), Strategy(interest_places=0, most={"trending": 1}), {}, 0, 24)
    kinds = [mixed[number][0] for number in numbers(places)]
    assert kinds[:10].count("trending") == 1
    assert len(places.numbers) == 24


def test_explored_places_are_the_last_of_ten_and_say_their_chance():
    mixed = [("co_occurrence", 1)] * 12 + [("fresh", 0)] * 4
    strategy = Strategy(interest_places=0, explore_places=2)
    found = [compose(offer(*mixed), strategy, {}, draw, 14) for draw in range(40)]
    for places in found:
        assert places.propensities[:8].tolist() == [1.0] * 8
        assert places.propensities[8:10].tolist() == [1 / 4, 1 / 3]
        assert len(set(numbers(places))) == len(places.numbers)
        assert all(mixed[number][0] == "co_occurrence" for number in numbers(places)[10:])
    assert {numbers(places)[8] for places in found} == {12, 13, 14, 15}


@given(
    st.lists(st.tuples(st.sampled_from(SOURCES[:4]), st.integers(0, 3)), max_size=40),
    st.builds(Strategy, kind=st.sampled_from(["hybrid", "interests", "history", "context"]),
              interest_places=st.integers(0, FIRST), explore_places=st.integers(0, FIRST),
              most=st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 5), max_size=2)),
    st.integers(0, 2**63), st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_item_stands_twice_and_quotas_hold(kinds, strategy, draw, has_shares):
    given = {1: 0.5, 2: 0.3, 3: 0.2} if has_shares else {}
    places = compose(offer(*kinds), strategy, given, draw, 30)
    assert len(set(numbers(places))) == len(numbers(places)) <= 30
    first = [kinds[number][0] for number in numbers(places)[:FIRST]]
    for source, most in strategy.most.items():
        if source != "fresh":
            assert first.count(source) <= max(most, 0) or len(numbers(places)) < FIRST
    again = compose(offer(*kinds), strategy, given, draw, 30)
    assert numbers(again) == numbers(places)


@given(
    st.lists(st.tuples(st.sampled_from(["co_occurrence", "content", "trending"]),
                       st.integers(0, 3)), max_size=40),
    st.integers(0, FIRST), st.lists(st.floats(0.01, 1), max_size=3), st.integers(1, 30),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_a_list_that_goes_by_score_is_what_composing_makes_of_it(kinds, places, parts, size):
    strategy = Strategy(interest_places=places)
    shares = {slot: part / sum(parts) for slot, part in enumerate(parts, 1)}
    slots = [slot for _, slot in kinds[:FIRST]]
    made = compose(offer(*kinds), strategy, shares, 0, size)
    if goes_by_score(strategy, shares, slots):
        plain = in_order(min(size, len(kinds)))
        assert [column.tolist() for column in plain] == [column.tolist() for column in made]


def test_only_a_hybrid_list_without_quotas_goes_by_score_and_only_while_no_interest_falls_short():
    assert goes_by_score(Strategy(), {}, [])
    assert goes_by_score(Strategy(), {1: 0.6, 2: 0.4}, [1, 2] * 5)
    assert not goes_by_score(Strategy(), {1: 0.6, 2: 0.4}, [1] * 10)
    assert goes_by_score(Strategy(interest_places=0), {1: 0.6, 2: 0.4}, [1] * 10)
    for other in ({"kind": "interests"}, {"kind": "history"}, {"kind": "context"},
                  {"explore_places": 1}, {"most": {"trending": 1}}):  # fmt: skip
        assert not goes_by_score(Strategy(**other), {}, [])


@pytest.mark.parametrize("fields", [{"interest_places": 11}, {"explore_places": -1},
                                    {"most": {"friends": 1}}])  # fmt: skip
def test_a_strategy_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match=r"0 to 10|legal are"):
        Strategy(**fields)
