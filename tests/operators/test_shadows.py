"""Shadow models: judged as if they had been served, and without any trace in what is."""

import json
from collections import defaultdict

import pytest
from hypothesis import given, settings

from operators.composing import Strategy
from operators.features import FEATURES, Weights
from operators.messages import NewWeights
from operators.outcome_records import as_json
from operators.parameters import LearningSettings, RankingSettings, Shadow
from operators.ranking import Ranking
from operators.strategy import parse_gradient
from operators.taught import Taught
from tests.driven import Ranked, forget, near, popular_list, sent, user_changed
from tests.graph import Graph
from tests.operators.test_outcomes import VALUES
from tests.strategies import streams

OTHER = {name: 3.0 - 0.2 * place for place, name in enumerate(FEATURES)}
LEARNING = LearningSettings(delay_ms=0, period_ms=1, rate=2.0)
HISTORY, CONTEXT = Strategy(kind="history"), Strategy(kind="context", explore_places=8)


def shadowed(kind=Ranking, learning: LearningSettings | None = None, **shadows: Shadow) -> Ranked:
    learning = learning or LearningSettings()
    return Ranked(kind(RankingSettings(), Weights(), learning, shadows=shadows))


def graph(served: Weights, shadows=None, strategy=None, **fields) -> Graph:
    ranking = RankingSettings(list_max=4, surfaces={"home": strategy or Strategy()})
    return Graph(served, ranking=ranking, shadows=shadows, **fields)


def ranks(outs) -> list[tuple[str, int | None]]:
    return [(out.message.event_id, out.message.rank) for out in outs["outcomes"]]


def shadow_ranks(outs, name: str) -> list[tuple[str, int | None]]:
    return [(out.message.event_id, out.message.shadows[name]) for out in outs["outcomes"]]


@given(streams(max_size=60))
@settings(max_examples=30, deadline=None)
def test_a_shadow_has_the_ranks_it_would_have_if_it_were_served(records):
    """Other weights, another composition, both: against a graph that serves them."""
    one, other = Weights(values=VALUES), Weights(values=OTHER)
    shadows = {
        "same": Shadow(),
        "weights": Shadow(weights=OTHER),
        "history": Shadow(strategy=HISTORY),
        "context": Shadow(strategy=CONTEXT, weights=OTHER),
        "explored": Shadow(strategy=CONTEXT),
    }
    served = {
        "same": graph(one),
        "weights": graph(other),
        "history": graph(one, strategy=HISTORY),
        "context": graph(other, strategy=CONTEXT),
        "explored": graph(one, strategy=CONTEXT),
    }
    cast = graph(one, shadows)
    for start in range(0, len(records), 3):
        window = records[start : start + 3]
        outs = cast.run(list(window))
        for name, alone in served.items():
            assert shadow_ranks(outs, name) == ranks(alone.run(list(window))), name


@given(streams(max_size=60))
@settings(max_examples=20, deadline=None)
def test_what_is_served_counted_and_learned_knows_nothing_of_shadows(records):
    shadows = {"a": Shadow(weights=OTHER, strategy=CONTEXT), "b": Shadow(kind="popular")}
    plain, cast = (
        graph(Weights(), shadows, learning=LEARNING) for shadows in (None, shadows)
    )  # fmt: skip
    for start in range(0, len(records), 2):
        window = records[start : start + 2]
        without, beside = plain.run(list(window)), cast.run(list(window))
        assert beside["rows"] == without["rows"]
        assert beside["strategy"] == without["strategy"]
        assert ranks(beside) == ranks(without)
        assert [one for one in beside["count"] if "/" not in one.key] == without["count"]
        assert not any(out.message.shadows for out in without["outcomes"])
    assert not plain.state["ranking"].shadow.data


def learned_a_lot(stage: Ranked) -> None:
    """Weights under which `b` comes before `a`."""
    stage.send(NewWeights(5, "", "default", "m.1", {"c0": -4.0}))


def test_a_fixed_shadow_keeps_its_weights_while_another_follows_what_is_learned():
    stage = shadowed(Taught, frozen=Shadow(weights={"c0": 4.0}), follows=Shadow())
    learned_a_lot(stage)
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1))
    (outcome,) = sent(stage.touch("u", "b"), "outcomes")
    assert outcome.rank == 1
    assert outcome.shadows == {"frozen": 2, "follows": 1}


def test_the_popular_shadow_shows_everybody_the_same_but_what_they_know():
    stage = shadowed(popular=Shadow(kind="popular", weights={}))
    shared = [(item, near(item, 0)[3]) for item in "pqr"]
    stage.send(popular_list("all", *shared))
    stage.touch("u", "p", near("a", 0.4))
    (outcome,) = sent(stage.touch("u", "r", near("q", 0.9)), "outcomes")
    assert outcome.shadows == {"popular": 2}  # q, r: p is known
    (outcome,) = sent(stage.touch("u", "a"), "outcomes")
    assert (outcome.rank, outcome.shadows) == (2, {"popular": None})


def test_the_shared_row_is_ordered_by_the_weights_of_the_shadow():
    stage = shadowed(likes=Shadow(kind="popular", weights={"pop": 1.0}))
    shared = [("few", near("few", 0, likes=1)[3]), ("many", near("many", 0, likes=9)[3])]
    stage.send(popular_list("all", *shared))
    (outcome,) = sent(stage.touch("u", "many"), "outcomes")
    assert (outcome.rank, outcome.shadows) == (2, {"likes": 1})


def test_a_user_who_wants_no_list_of_his_own_has_none_in_any_shadow():
    stage = shadowed(frozen=Shadow(weights={"c0": 4.0}))
    stage.touch("u", "x", near("a", 0.4))
    stage.send(user_changed("u", 2000, stage.seq("u"), personalise=False))
    (outcome,) = sent(stage.touch("u", "a"), "outcomes")
    assert outcome.shadows == {"frozen": None}


def test_a_shadow_that_is_new_is_judged_from_its_first_list_on():
    before = Ranked(Ranking(RankingSettings(), Weights(), LearningSettings()))
    before.touch("u", "x", near("a", 0.4))
    after = shadowed(late=Shadow())
    after.state, after._seq, after._touched = before.state, before._seq, before._touched
    outs = after.touch("u", "y", near("b", 0.4))
    assert sent(outs, "outcomes")[0].shadows == {}
    assert counted(outs) == {"outcomes": 1, "hits_10": 0}
    assert sent(after.touch("u", "b"), "outcomes")[0].shadows == {"late": 1}


def test_nothing_of_an_erased_user_is_kept():
    stage = shadowed(frozen=Shadow(weights={"c0": 4.0}))
    stage.touch("u", "x", near("a", 0.4))
    assert stage.state.shadow.data
    stage.send(forget("u", 2000, stage.seq("u")))
    assert not stage.state.shadow.data


def counted(outs) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for out in outs:
        if out.to == "count":
            total[out.key] += out.message
    return dict(total)


def test_hits_of_shadows_are_counted_like_those_of_the_served_list():
    stage = shadowed(popular=Shadow(kind="popular"), same=Shadow())
    stage.touch("u", "x", near("a", 0.4))
    assert counted(stage.touch("u", "a", near("b", 0.4))) == {
        "outcomes": 1, "hits_10": 1, "shadow=popular/outcomes": 1, "shadow=popular/hits_10": 0,
        "shadow=same/outcomes": 1, "shadow=same/hits_10": 1,
    }  # fmt: skip


def test_the_record_holds_ranks_by_name_and_learning_reads_it_as_before():
    stage = shadowed(frozen=Shadow(weights={"c0": 4.0}), popular=Shadow(kind="popular"))
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1))
    (outcome,) = sent(stage.touch("u", "b"), "outcomes")
    record = json.loads(as_json(outcome))
    assert record["shadows"] == {"frozen": 2, "popular": None}
    assert parse_gradient(as_json(outcome)).values == record["gradient"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"weights": {"c00": 1.0}}, "no such features"),
        ({"list_max": 0}, "list_max"),
        ({"kind": "popular", "strategy": HISTORY}, "none of its own"),
    ],
)
def test_a_shadow_that_cannot_be_says_why(fields, says):
    with pytest.raises(ValueError, match=says):
        Shadow(**fields)
