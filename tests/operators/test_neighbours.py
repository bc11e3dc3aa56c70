"""What goes together: sums and pairs, the bounded cache of the best, erasure, similar items."""

import math

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from operators.id_list import split
from operators.kernels import similarity
from operators.messages import Pulled, SumTaken
from operators.neighbours import Neighbours
from operators.packing import PULLED, item_key
from operators.pairs import rebuild
from operators.parameters import NeighboursSettings
from operators.results import SimilarRow
from operators.stage import DictTable, Out
from tests.driven import (
    TENANT,
    Driven,
    counted,
    figures,
    learn,
    new_id,
    pair_seen,
    plain,
    sent,
    signal,
)


def neighbours(table=DictTable, **fields) -> Driven:
    return Driven(Neighbours(NeighboursSettings(**fields)), table)


def pull(item: str, increase: int = 0, *pairs, at_ms: int = 1000, raw: int = 0, user: str = "u"):
    one = counted(signal(user, item, at_ms), figures(item, raw))
    return learn(one, increase, *pairs)


def taken(item: str, decrease: int) -> SumTaken:
    return SumTaken(1000, new_id(), TENANT, item, decrease)


def answer(outs: list[Out]) -> dict[str, tuple[float, float]]:
    """Similarity and short similarity by item, in the order of the answer."""
    (pulled,) = sent(outs, "ranking")
    assert isinstance(pulled, Pulled)
    rows = np.frombuffer(pulled.rows, PULLED)
    ids = split(pulled.ids)
    assert rows["key"].tolist() == [item_key(item) for item in ids]
    return dict(zip(ids, zip(rows["sim"].tolist(), rows["short"].tolist(), strict=True),
                    strict=True))  # fmt: skip


def kept(stage: Driven, item: str) -> dict[str, tuple[float, float]]:
    """What the item would answer now, asked of a copy."""
    return answer(stage.twin().send(pull(item)))


def test_an_item_without_pairs_answers_with_nothing():
    stage = neighbours()
    one = pull("a", 10)
    assert stage.send(one) == [
        Out("ranking", "default\x1fu",
            Pulled(one.time_ms, one.event_id, one.counted, "", b""))
    ]  # fmt: skip


def test_similarity_by_hand_of_what_came_before():
    stage = neighbours()
    stage.send(pull("a", 30))
    got = answer(stage.send(pull("a", 10, ("b", 800, 240, figures("b", 90)), raw=40)))
    # backward 8.00 counts 0.3; sum 40; ratio 90 / 40; the short sum belongs to the other side
    below = 40 * math.sqrt(90 / 40) + 100
    assert got == {"b": (pytest.approx(0.3 * 8 / below, rel=1e-6), 0.0)}


def test_similarity_by_hand_of_what_came_after():
    stage = neighbours()
    stage.send(pull("a", 50))
    stage.send(pair_seen("a", "b", 900, 0, 270, ratio=0.25))
    stage.send(pair_seen("a", "b", 100, 0, 30, ratio=4.0))
    below = 50 * math.sqrt(4.0) + 100  # the newest ratio
    assert kept(stage, "a") == {
        "b": (pytest.approx(0.7 * 10 / below, rel=1e-6), pytest.approx(3 / below, rel=1e-6))
    }


def test_settings_change_the_answer_and_not_the_truth():
    stage = neighbours(forward_share=1.0, damping=0.0)
    stage.send(pull("a", 50), pair_seen("a", "b", 900, 400, 270))
    assert kept(stage, "a") == {"b": (pytest.approx(9 / 50), pytest.approx(2.7 / 50))}
    other = neighbours(forward_share=0.0, damping=50.0)
    other.state = stage.state
    assert kept(other, "a") == {"b": (pytest.approx(4 / 100), pytest.approx(2.7 / 100))}


def test_the_figures_of_a_neighbour_are_those_of_its_last_pair():
    stage = neighbours()
    old, new = figures("b", 10, 1, 1), figures("b", 30, 3, 4, categories=["war"])
    stage.send(pair_seen("a", "b", 100, figured=old), pair_seen("a", "b", 100, figured=new))
    (pulled,) = sent(stage.send(pull("a", 10)), "ranking")
    assert pulled.rows[8:16] + pulled.rows[20:] == new[:8] + new[12:]
    stage.send(pair_seen("a", "b", -100, figured=b""))
    (pulled,) = sent(stage.send(pull("a")), "ranking")
    assert pulled.rows[8:16] + pulled.rows[20:] == new[:8] + new[12:]


def test_the_answer_goes_to_the_user_with_the_signal_it_answers():
    one = pull("a", 10, user="v")
    (out,) = neighbours().send(one)
    assert (out.to, out.key) == ("ranking", "default\x1fv")
    assert out.message.counted == one.counted


def test_a_pair_is_learnt_by_each_side_apart():
    stage = neighbours()
    stage.send(pair_seen("a", "b", 100))
    assert list(kept(stage, "a")) == ["b"]
    assert list(kept(stage, "b")) == []


def test_tenants_learn_apart():
    stage = neighbours()
    stage.send(pair_seen("a", "b", 100))
    one = learn(counted(signal("u", "a", tenant="shop")), 10)
    assert answer(stage.send(one)) == {}


class Rule:
    """The cache of one item by its documented rule: plain dicts, everything worked out anew.

    A pair of the cache is overwritten; a new one enters while there is room, or in the place of
    the worst (of equals, the one with the smallest key) if it is better.
    """

    def __init__(self, size: int, damping: float) -> None:
        self.size, self.damping = size, damping
        self.sum = 0
        self.truth: dict[str, list] = {}
        self.cache: list[str] = []

    def sim(self, other: str) -> float:
        forward, backward, _, ratio = self.truth[other]
        below = 100 * (self.sum * math.sqrt(np.float32(ratio)) + self.damping)
        return (0.7 * forward + 0.3 * backward) / below

    def pair(self, other: str, forward: int, backward: int, short: int, ratio: float) -> None:
        known = self.truth.get(other, [0, 0, 0, 0.0])
        self.truth[other] = [known[0] + forward, known[1] + backward, known[2] + short, ratio]
        if other in self.cache:
            return
        if len(self.cache) >= self.size:
            worst = min(self.cache, key=lambda one: (self.sim(one), item_key(one)))
            if any(self.rounding_decides(worst, one) for one in [*self.cache, other]):
                reject()
            if self.sim(other) <= self.sim(worst):
                return
            self.cache.remove(worst)
        self.cache.append(other)

    def rounding_decides(self, one: str, other: str) -> bool:
        """Whether two pairs are as similar as each other, but by different numbers."""
        close = math.isclose(self.sim(one), self.sim(other), rel_tol=1e-9)
        return close and self.truth[one] != self.truth[other]

    def take(self, other: str) -> None:
        """Take all of a pair back."""
        del self.truth[other]
        if other in self.cache:
            self.cache.remove(other)


RATIOS = [0.25, 0.5, 1.0, 2.0, 9.0]
OTHERS = [f"o{n}" for n in range(7)]
WEIGHTS = st.integers(1, 40).map(lambda n: 25 * n)
FEW = st.sampled_from(OTHERS[:5])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("forward"), FEW, WEIGHTS, st.sampled_from(RATIOS)),
        st.tuples(st.just("backward"), FEW, WEIGHTS, st.sampled_from(RATIOS)),
        st.tuples(st.just("rise"), FEW, WEIGHTS, st.sampled_from(RATIOS)),
        st.tuples(st.just("sum"), st.just(""), st.integers(1, 300), st.just(1.0)),
        st.tuples(st.just("unsum"), st.just(""), st.integers(1, 300), st.just(1.0)),
        st.tuples(st.just("erase"), FEW, st.just(0), st.just(1.0)),
    ),
    min_size=8,
    max_size=40,
)


def play(stages: list[Driven], rule: Rule, step: tuple) -> None:
    """One step for the rule and for each stage."""
    kind, other, number, ratio = step
    message = None
    if kind == "forward":
        rule.pair(other, number, 0, number // 2, ratio)
        message = pair_seen("a", other, number, 0, number // 2, ratio)
    elif kind in ("backward", "rise"):
        increase = number if kind == "rise" else 0
        rule.sum += increase
        rule.pair(other, 0, number, 0, ratio)
        pair = (other, number, 0, figures(other, round(400 * ratio)))
        message = pull("a", increase, pair, raw=400)
    elif kind == "sum":
        rule.sum += number
        message = pull("a", number)
    elif kind == "unsum" and rule.sum >= number:
        rule.sum -= number
        message = taken("a", number)
    elif kind == "erase" and other in rule.truth:
        forward, backward, short, _ = rule.truth[other]
        rule.take(other)
        message = pair_seen("a", other, -forward, -backward, -short, 1.0, b"")
    for stage in stages if message else ():
        stage.send(message)


@given(STEPS, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_the_cache_follows_its_rule_after_every_step(steps, size):
    """The same with values that live on between batches and with values read anew each time."""
    rule = Rule(size, 30.0)
    stages = [neighbours(table, rows_max=size, damping=30.0) for table in (DictTable, plain)]
    for step in steps:
        play(stages, rule, step)
        expected = {}
        for other in rule.cache:
            below = rule.sum * math.sqrt(rule.truth[other][3]) + 30
            short = rule.truth[other][2] / 100 / below
            expected[other] = pytest.approx((rule.sim(other), short), rel=1e-5)
        for stage in stages:
            assert kept(stage, "a") == expected


@given(
    st.lists(st.tuples(st.sampled_from(OTHERS), WEIGHTS, st.booleans()), max_size=60),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_the_cache_holds_the_best_of_the_truth_where_pairs_only_grow(steps, size):
    """With equal ratios the order of similarity is that of the weights, whatever the sum."""
    stage, weights = neighbours(rows_max=size), dict.fromkeys(OTHERS, 0)
    for other, weight, also_sum in steps:
        weights[other] += weight
        stage.send(pair_seen("a", other, weight))
        if also_sum:
            stage.send(pull("a", 7))
        got = kept(stage, "a")
        best = sorted((known for known in weights.values() if known), reverse=True)[:size]
        assert sorted((weights[other] for other in got), reverse=True) == best


def test_what_left_the_cache_comes_back_with_all_it_had():
    stage = neighbours(rows_max=1)
    stage.send(pull("a", 10))
    stage.send(pair_seen("a", "b", 500), pair_seen("a", "c", 600, 100, 50))
    assert list(kept(stage, "a")) == ["c"]
    stage.send(pair_seen("a", "b", 500))
    assert kept(stage, "a") == {"b": (pytest.approx(0.7 * 10 / 110), 0.0)}
    stage.send(pair_seen("a", "c", 600, 100, 50))
    sim = (0.7 * 12 + 0.3 * 2) / 110
    assert kept(stage, "a") == {"c": (pytest.approx(sim), pytest.approx(1 / 110))}


def test_a_new_pair_has_to_be_better_than_the_worst_row_to_enter():
    stage = neighbours(rows_max=2)
    stage.send(pair_seen("a", "b", 500), pair_seen("a", "c", 600))
    stage.send(pair_seen("a", "d", 500))
    assert list(kept(stage, "a")) == ["b", "c"]
    stage.send(pair_seen("a", "d", 1))
    assert list(kept(stage, "a")) == ["c", "d"]


@pytest.fixture(params=[DictTable, plain], ids=["read anew", "kept alive"])
def full(request) -> Driven:
    """A cache of two of an item with a sum of 100: b with 3.00, c with 5.00."""
    stage = neighbours(request.param, rows_max=2)
    stage.send(pair_seen("a", "b", 300), pair_seen("a", "c", 500), pull("a", 100))
    stage.send(pair_seen("a", "d", 100))
    assert list(kept(stage, "a")) == ["b", "c"]
    return stage


def test_where_the_worst_row_rose_another_is_the_worst(full):
    full.send(pair_seen("a", "b", 400))
    full.send(pair_seen("a", "d", 300))
    assert list(kept(full, "a")) == ["b", "c"]
    full.send(pair_seen("a", "d", 101))
    assert list(kept(full, "a")) == ["b", "d"]


def test_where_a_row_sank_it_is_the_worst(full):
    # c has become much more popular: 5.01 / (100 * sqrt(81) + 100)
    full.send(pair_seen("a", "c", 1, ratio=81.0))
    full.send(pair_seen("a", "d", 1))
    assert list(kept(full, "a")) == ["b", "d"]


def test_where_the_sum_fell_similarities_are_those_of_the_new_one(full):
    full.send(pair_seen("a", "c", 1, ratio=81.0), pull("a"))
    full.send(taken("a", 100))
    # at a sum of 0 only the weights count again: 3.00, 5.01, 4.00
    full.send(pair_seen("a", "d", 300))
    assert list(kept(full, "a")) == ["c", "d"]


def test_the_answer_has_at_most_rows_max_rows():
    stage = neighbours()
    stage.send(pull("a", 10), *(pair_seen("a", f"o{n}", 100 + n) for n in range(150)))
    got = kept(stage, "a")
    assert set(got) == {f"o{n}" for n in range(50, 150)}


def test_taking_everything_back_leaves_nothing():
    stage = neighbours(rows_max=2)
    stage.send(pull("a", 10))
    for n in range(5):
        stage.send(pair_seen("a", f"o{n}", 100 + n, 0, 7))
    for n in range(5):
        stage.send(pair_seen("a", f"o{n}", -100 - n, 0, -7, 1.0, b""))
    assert kept(stage, "a") == {}
    stage.send(taken("a", 10))
    (row,) = stage.settle()
    assert (row.message.item, row.message.ids) == ("a", []), "the stored list goes too"
    assert not any(stage.data().values())


def test_taking_back_a_part_keeps_the_rest_and_its_ratio():
    stage = neighbours()
    stage.send(pull("a", 20), pair_seen("a", "b", 500, 100, 50, ratio=4.0))
    stage.send(pair_seen("a", "b", -200, 0, -50, 1.0, b""))
    assert kept(stage, "a") == {
        "b": (pytest.approx((0.7 * 3 + 0.3) / (20 * 2 + 100), rel=1e-6), 0.0)
    }


def test_every_row_of_an_answer_carries_the_figures_of_its_item(full):
    # d is known by its sums alone; b leaves, and an erasure takes a part of d
    full.send(pair_seen("a", "b", -300, figured=b""))
    full.send(pair_seen("a", "d", -50, figured=b""))
    kept(full, "a")


def similar(stage: Driven) -> list[SimilarRow]:
    outs = stage.settle()
    assert all(out.to == "rows" and isinstance(out.message, SimilarRow) for out in outs)
    assert all(out.key == f"default\x1f{out.message.item}" for out in outs)
    return [out.message for out in outs]


def test_similar_items_are_held_back_and_written_once_best_first():
    stage = neighbours(similar_max=2)
    outs = stage.send(
        pair_seen("a", "b", 300, at_ms=1), pair_seen("a", "c", 500, at_ms=2),
        pair_seen("a", "d", 400, at_ms=3), pull("a", 10, at_ms=4),
    )  # fmt: skip
    assert {out.to for out in outs} == {"ranking"}
    stage.send(pull("a", 10, at_ms=5))
    (row,) = similar(stage)
    assert (row.tenant, row.item, row.title) == ("default", "a", "Title a")
    assert (row.ids, row.written_us) == (["c", "d"], 5000)
    scores = np.frombuffer(row.scores, "<f4").tolist()
    assert scores == pytest.approx([0.7 * 5 / 120, 0.7 * 4 / 120])
    assert similar(stage) == []


def test_an_item_of_which_nothing_is_known_writes_no_similar_ones():
    stage = neighbours()
    stage.send(pull("b", 10), pair_seen("a", "b", 300))
    assert similar(stage) == []
    stage.send(pull("b", 10), pull("a", 10))
    assert [row.item for row in similar(stage)] == ["a"]


def test_the_row_of_similar_items_is_always_later_than_the_last():
    stage = neighbours()
    stage.send(pair_seen("a", "b", 300))
    times = []
    for at_ms in (9, 9, 3, 12):
        stage.send(pull("a", 1, at_ms=at_ms))
        times += [row.written_us for row in similar(stage)]
    assert times == [9000, 9001, 9002, 12_000]


PAIRS = st.dictionaries(
    st.sampled_from(OTHERS), st.tuples(WEIGHTS, WEIGHTS, st.sampled_from(RATIOS)), max_size=7
)


@given(PAIRS, st.integers(0, 99), st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_rebuilt_cache_holds_the_best_in_one_order(pairs, total, size, random):
    known = [
        (other, (forward, backward, 0), ratio)
        for other, (forward, backward, ratio) in pairs.items()
    ]
    rule = Rule(size, 100.0)
    rule.sum = total
    rule.truth = {other: [*values[:2], 0, values[2]] for other, values in pairs.items()}
    sims = [
        similarity(*values[:2], values[2], float(total), 0.7, 100.0) for values in pairs.values()
    ]
    if len(set(sims)) > len({round(sim, 12) for sim in sims}):
        reject()  # equal but for the rounding of their sums
    best = sorted(pairs, key=lambda other: (-round(rule.sim(other), 12), item_key(other)))[:size]
    cache = rebuild(known, total, size, (0.7, 100.0))
    assert (cache.sum, cache.ids) == (total, best)
    random.shuffle(known)
    again = rebuild(known, total, size, (0.7, 100.0))
    assert (again.ids, again.sums.tolist()) == (cache.ids, cache.sums.tolist())
    keys = again.cache[:2].T.copy().view("<u8")[:, 0]
    assert keys.tolist() == [item_key(item) for item in best]
