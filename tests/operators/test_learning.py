"""Learned weights: the gradient by finite differences, the step, periods and delays, the wire."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.events import Rejected
from operators.features import FEATURES, Weights
from operators.learning import Learning, gradient_in, gradient_of
from operators.messages import Gradient, NewWeights, Outcome
from operators.outcome_records import as_json
from operators.parameters import LearningSettings, RankingSettings
from operators.results import ListRow
from operators.strategy import parse_gradient, parse_weights, record_of
from operators.taught import Taught
from tests.builders import event, listing
from tests.driven import Driven, Ranked, near, sent
from tests.graph import Graph

MINUTE_MS = 60_000
FAST = LearningSettings(delay_ms=0)


WEIGHTS = Weights(values={"c0": 4.0})


def learner(**fields) -> Driven:
    return Driven(Learning(LearningSettings(**fields), WEIGHTS))


def gradient(at_ms: int, tenant: str = "default", **values: float) -> Gradient:
    return Gradient(at_ms, f"e{at_ms}", tenant, values)


def told(stage: Driven) -> dict[str, NewWeights]:
    return {one.tenant: one for one in sent(stage.settle(), "strategy")}


def loss(features: np.ndarray, values: np.ndarray, place: int) -> float:
    scores = features @ values
    return float(np.log(np.exp(scores).sum()) - scores[place])


@given(st.integers(2, 8), st.integers(0, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_gradient_is_that_of_the_softmax_loss(size, place, seed):
    random = np.random.default_rng(seed)
    features = random.uniform(-2, 2, (size, len(FEATURES))).astype(np.float32)
    values, place = random.uniform(-2, 2, len(FEATURES)), place % size
    keys = random.permutation(100)[:size].astype(np.uint64)
    assert not len(gradient_of(features, values, keys, np.uint64(100)))
    found = gradient_of(features, values, keys, keys[place])
    for feature, step in enumerate(np.eye(len(FEATURES)) * 1e-5):
        exact = features.astype(float)
        slope = (loss(exact, values + step, place) - loss(exact, values - step, place)) / 2e-5
        assert found[feature] == pytest.approx(slope, abs=1e-6)


def test_a_step_is_adagrad_s_from_the_weights_of_the_settings():
    stage = learner(rate=0.5, start=0.01)
    stage.send(gradient(1, c0=0.3, genre=-0.2), gradient(2, c0=-0.1, genre=0.0))
    first, second = 0.01 + 0.09, 0.01 + 0.09 + 0.01
    c0 = 4.0 - 0.5 * 0.3 / math.sqrt(first) + 0.5 * 0.1 / math.sqrt(second)
    values = told(stage)["default"].values
    assert values == pytest.approx({"c0": c0, "genre": 0.5 * 0.2 / math.sqrt(0.05)})


def test_weights_are_told_once_under_a_name_of_their_own_and_by_tenant():
    stage = learner()
    stage.send(gradient(1, c0=0.3), gradient(2, "shop", c0=-0.3), gradient(7, c0=0.3))
    found = told(stage)
    assert {tenant: one.model for tenant, one in found.items()} == {
        "default": "itemcf-1.2", "shop": "itemcf-1.1",
    }  # fmt: skip
    assert found["default"].time_ms == 7
    assert found["default"].values["c0"] < 4.0 < found["shop"].values["c0"]
    assert told(stage) == {}


def test_a_feature_of_another_version_is_learned_and_harms_nobody():
    stage = learner()
    stage.send(gradient(1, c0=0.3, no_such_feature=1.0))
    strategy = told(stage)["default"]
    ranked = Ranked(Taught(RankingSettings(), Weights(), LearningSettings()))
    ranked.send(strategy)
    ranked.touch("u", "x", near("a", 0.4))
    assert ranked.scores("u")["a"] == pytest.approx(strategy.values["c0"], rel=1e-6)
    assert ranked.lists["u"].model == "itemcf-1.1"


def taught(settings: LearningSettings) -> Ranked:
    return Ranked(Taught(RankingSettings(), Weights(), settings))


def weight(stage: Ranked, user: str, at_ms: int) -> float:
    """Of c0, as it is in force: the largest main sum has c0 = 1 and all else 0."""
    stage.touch(user, "x", near("a", 0.4), near("b", 0.1), at_ms=at_ms)
    strategy = stage.state.weights.get("default")
    return strategy.values["c0"] if strategy else 4.0


def test_weights_take_effect_a_delay_after_the_end_of_the_period_of_their_gradients():
    stage = taught(LearningSettings(delay_ms=2000))
    weight(stage, "u", 10 * MINUTE_MS)
    stage.touch("u", "b", at_ms=10 * MINUTE_MS + 5000)  # liked the second of two
    assert weight(stage, "v", 11 * MINUTE_MS - 1) == 4.0
    assert weight(stage, "w", 11 * MINUTE_MS + 1999) == 4.0
    assert weight(stage, "y", 11 * MINUTE_MS + 2000) < 4.0


def test_weights_of_a_long_silence_are_there_at_its_end():
    stage = taught(LearningSettings(delay_ms=2000))
    weight(stage, "u", 10 * MINUTE_MS)
    stage.touch("u", "b", at_ms=10 * MINUTE_MS + 5000)
    assert weight(stage, "v", 500 * MINUTE_MS) < 4.0


def test_of_two_weights_that_fall_due_together_the_newer_count():
    stage = taught(LearningSettings(delay_ms=5 * MINUTE_MS))
    for minute, user in ((10, "u"), (11, "v")):
        weight(stage, user, minute * MINUTE_MS)
        stage.touch(user, "b", at_ms=minute * MINUTE_MS + 1)
    weight(stage, "w", 30 * MINUTE_MS)
    assert stage.lists["w"].model == "itemcf-1.2"


def test_the_stage_of_a_replay_learns_what_the_job_learns():
    """Gradients of the one, fed to the other, give the same weights."""
    graph, job, strategies = Graph(WEIGHTS, learning=FAST), learner(), []
    records = [listing(f"i{n}", categories=[f"c{n % 3}"]) for n in range(9)]
    records += [event(f"u{n % 5}", f"i{n * 7 % 9}", n * 20_000) for n in range(60)]
    for record in records:
        outs = graph.run([record])
        strategies += sent(outs["strategy"], "strategy")
        found = [gradient_in(out.message) for out in outs["outcomes"]]
        through_json = [parse_gradient(as_json(out.message)) for out in outs["outcomes"]]
        assert found == through_json
        job.send(*(one for one in found if one))
    assert len(strategies) > 3
    assert told(job)["default"].values == graph.state["ranking"].learned.get("default").values


def test_users_who_follow_taste_teach_the_weight_of_taste():
    """Two populations like popular items of one category each: co-occurrence alone mixes them."""
    random, graph = np.random.default_rng(7), Graph(learning=FAST)
    graph.run([listing(f"{kind}{n}", categories=[kind]) for kind in "ab" for n in range(30)])
    for turn in range(600):
        user = int(random.integers(40))
        item = f"{'ab'[user % 2]}{int(random.integers(30))}"
        graph.run([event(f"u{user}", item, turn * 10_000)])
    values = graph.state["ranking"].learned.get("default").values
    assert values["genre"] > 0.5


def test_what_is_not_to_be_learned_has_no_gradient():
    stage = taught(FAST)
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1))
    cases = {
        "no like": {"item": "a", "liked": False},
        "not in the list": {"item": "z"},
    }
    for fields in cases.values():
        (outcome,) = sent(stage.touch("u", **fields), "outcomes")
        assert outcome.gradient == b""
    off = taught(LearningSettings(enabled=False))
    off.touch("u", "x", near("a", 0.4), near("b", 0.1))
    (outcome,) = sent(off.touch("u", "b"), "outcomes")
    assert outcome.rank == 2
    assert outcome.gradient == b""


def test_an_item_alone_in_the_list_teaches_nothing():
    stage = taught(FAST)
    stage.touch("u", "x", near("a", 0.4))
    (outcome,) = sent(stage.touch("u", "a"), "outcomes")
    assert (outcome.rank, outcome.gradient) == (1, b"")


def test_the_row_of_a_list_names_its_weights():
    stage = taught(FAST)
    stage.send(NewWeights(5, "", "default", "itemcf-1.77", {"c0": 2.0}))
    (row,) = [row for row in sent(stage.touch("u", "x", near("a", 0.4)), "rows")
              if isinstance(row, ListRow)]  # fmt: skip
    assert row.model == "itemcf-1.77"
    (outcome,) = sent(stage.touch("u", "z"), "outcomes")
    assert outcome.model == "itemcf-1.77"


def test_weights_survive_the_topic():
    one = NewWeights(7, "", "shop", "m.3", {"c0": 0.1 + 0.2, "genre": -1e-17})
    key, value = record_of(one)
    assert key == "weights/shop"
    assert parse_weights(value.encode()) == one
    assert json.loads(value)["kind"] == "weights"


def test_records_of_other_kinds_and_deletions_are_left_to_others():
    assert parse_weights(None) is None
    assert parse_weights(b'{"kind": "blocked", "items": ["i1"]}') is None
    assert parse_gradient(None) is None
    assert parse_gradient(b'{"event_id": "e", "event_time": 1, "rank": null}') is None


@pytest.mark.parametrize(
    ("parse", "record", "why"),
    [
        (parse_weights, b"{", "strategy"),
        (parse_weights, b"\xff", "strategy"),
        (parse_weights, b'{"kind": "weights", "tenant": "t"}', "event_time"),
        (parse_weights, b'{"kind": "weights", "tenant": "t", "event_time": 1, "model": "m", '
                         b'"values": {"c0": "much"}}', "float"),
        (parse_gradient, b'{"event_id": "e"}', "event_time"),
        (parse_gradient, b'{"event_id": "e", "event_time": 1, "gradient": {"c0": null}}', "float"),
    ],
)  # fmt: skip
def test_a_broken_record_is_refused_with_the_reason(parse, record, why):
    refused = parse(record)
    assert isinstance(refused, Rejected)
    assert why in refused.reason


def test_an_outcome_without_a_gradient_teaches_nothing():
    outcome = Outcome(1, "e", "t", "u", "i", "like", 8, True, True, None, None, "v", "m", None,
                      True, 0, 0, [])  # fmt: skip
    assert gradient_in(outcome) is None
