"""Clusters of a user's items, tags, mood, and lists composed by them."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.composing import FIRST, Offer, Strategy, compose, give
from operators.describing import written
from operators.events import EMOTIONS, Border, Preferences, Rejected
from operators.features_wire import Named, TextSignal, encode
from operators.interests import (
    DAY_MS,
    HOUR_MS,
    LOST,
    Interests,
    InterestSettings,
    name_of,
    reward,
    shares,
    touch,
    write,
)
from operators.learning import LearningSettings
from operators.messages import SOURCES, About
from operators.mood import Mood, MoodSettings, bend, current, feel, valence
from operators.packing import code_of
from operators.ranking import Ranking, Weights
from operators.results import ListRow, ProfileRow
from operators.scoring import RankingSettings
from tests.builders import erase, event, listing, user_update
from tests.driven import (
    Ranked,
    featured,
    figures,
    near,
    noted,
    popular_list,
    said,
    sent,
    user_changed,
)
from tests.graph import Graph

S = InterestSettings(interests_max=3, same_min=0.5, merge_min=0.6)


def direction(*parts: float, size: int = 8) -> np.ndarray:
    vector = np.zeros(size, "f4")
    vector[: len(parts)] = parts
    return vector


def about(vector: np.ndarray, tags=(), sentiment: float = 0.0, model: str = "m/1") -> About:
    return About(model, code_of(vector), list(tags), sentiment)


A, B, C, D = (direction(*(0.0,) * n, 1.0) for n in range(4))


def put(mine: Interests, vector, item: str, at_ms: int = 0, strength: int = 10, **fields):
    return touch(mine, about(vector, **fields), (item, f"Title {item}"), strength, at_ms, S)


# --- clusters


def test_near_items_share_an_interest_and_far_ones_found_another():
    mine = Interests()
    slots = [put(mine, vector, item)[0] for vector, item in
             ((A, "a1"), (A + 0.3 * B, "a2"), (B, "b1"))]  # fmt: skip
    assert slots[0] == slots[1] != slots[2]
    assert len(mine.clusters) == 2


def test_an_item_without_a_vector_brings_its_tags_alone():
    mine = Interests()
    slot, _ = touch(mine, About("", b"", [("heist", 0.5)], 0.0), ("x", "X"), 10, 0, S)
    assert (slot, mine.clusters, mine.tags["heist"].weight) == (LOST, [], 0.5)


def test_codes_of_different_models_are_never_compared():
    mine = Interests()
    one, _ = put(mine, A, "a1", model="m/1")
    other, _ = put(mine, A, "a2", model="m/2")
    assert one != other
    assert put(mine, A, "a3", model="m/1")[0] == one


def test_the_medoid_is_the_item_nearest_to_the_middle():
    mine = Interests()
    for vector, item in ((A + 0.9 * B, "edge"), (A, "mid"), (A - 0.3 * B, "c"), (A, "mid2")):
        put(mine, vector, item)
    assert mine.clusters[0].item in {"mid", "mid2"}


def test_of_too_many_interests_the_two_nearest_become_one():
    mine = Interests()
    near_a = 0.45 * A + 0.9 * B
    first, second, third = (put(mine, v, i)[0] for v, i in ((A, "a"), (near_a, "n"), (C, "c")))
    for _ in range(3):
        put(mine, A + 0.5 * B, "between")
    assert len(mine.clusters) == 3
    slot, moves = put(mine, D, "d")
    assert moves == {second: first}
    assert slot == second
    assert {one.slot for one in mine.clusters} == {first, second, third}


def test_or_else_the_weakest_goes():
    mine = Interests()
    put(mine, A, "a", 0)
    weak, _ = put(mine, B, "b", 0, strength=2)
    put(mine, C, "c", 0)
    mine.slots = {7: weak}
    slot, moves = put(mine, D, "d", 0)
    assert (slot, moves) == (weak, {weak: LOST})
    assert mine.slots == {7: LOST}


def test_importance_fades_and_reward_weighs_it():
    mine = Interests()
    old, _ = put(mine, A, "a", 0)
    new, _ = put(mine, B, "b", 30 * DAY_MS)
    found = shares(mine, 30 * DAY_MS, S)
    assert found[new] / found[old] == pytest.approx(2.0)
    assert sum(found.values()) == pytest.approx(1.0)
    bad, _ = put(mine, C, "c", 30 * DAY_MS, strength=2)
    assert reward(next(one for one in mine.clusters if one.slot == bad)) < 0.5
    assert shares(mine, 30 * DAY_MS, S)[bad] < found[old]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10**9)),
                max_size=60))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_interests_are_bounded_and_survive_the_codec(steps):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(41, 8)).astype("f4")
    mine = Interests()
    for n, (place, strength, at_ms) in enumerate(steps):
        tags = [(f"t{place % 7}", 0.5)]
        slot, moves = put(mine, vectors[place], f"i{place}", at_ms, strength, tags=tags)
        assert slot not in moves or moves[slot] != slot
        assert slot in {one.slot for one in mine.clusters}
        assert n >= 0
    assert len(mine.clusters) <= 3
    assert len({one.slot for one in mine.clusters}) == len(mine.clusters)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(mine), type=Interests)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(mine)
    found = shares(mine, 10**9, S)
    assert sum(found.values()) == pytest.approx(1.0 if mine.clusters and found else 0.0)


# --- texts


def test_a_text_counts_for_the_interest_of_its_item_also_against_it():
    mine = Interests()
    slot, _ = put(mine, A, "a")
    other, _ = put(mine, B, "b")
    before = shares(mine, 0, S)
    write(mine, said("u", 0, 1, item="a", sentiment=-1.0, tags=[("heist", 1.0)]), slot, S)
    assert mine.clusters[0].negative == 1.0
    assert mine.tags["heist"].sentiment == -1.0
    for _ in range(5):
        write(mine, said("u", 0, 1, item="b", sentiment=0.9), other, S)
    assert shares(mine, 0, S)[other] > before[other]


def test_a_search_counts_for_the_interest_it_is_near_to():
    mine = Interests()
    put(mine, A, "a")
    put(mine, B, "b")
    importance = [one.importance for one in mine.clusters]
    write(mine, said("u", 0, 1, action="search", model="m/1", code=code_of(B + 0.2 * A)), LOST, S)
    assert [one.importance for one in mine.clusters] == [importance[0], importance[1] + 0.5]
    write(mine, said("u", 0, 1, action="search", model="m/2", code=code_of(B)), LOST, S)
    write(mine, said("u", 0, 1, action="search", model="m/1", code=code_of(D)), LOST, S)
    assert mine.clusters[1].importance == importance[1] + 0.5


def test_tags_are_bounded_and_the_lightest_go():
    mine, few = Interests(), msgspec.structs.replace(S, tags_max=2)
    for word, weight in (("a", 0.9), ("b", 0.1), ("c", 0.5)):
        write(mine, said("u", 0, 1, tags=[(word, weight)]), LOST, few)
    assert set(mine.tags) == {"a", "c"}


def test_an_interest_is_called_by_its_tags_or_else_by_its_medoid():
    mine = Interests()
    put(mine, A, "a", tags=[("heist", 0.9), ("bank", 0.5), ("sea", 0.1), ("dog", 0.05)])
    put(mine, B, "b")
    assert [name_of(one) for one in mine.clusters] == ["heist, bank, sea", "Title b"]


# --- mood


def test_a_mood_fades_in_hours_and_late_words_have_faded_already():
    mood, hours = Mood(), MoodSettings(half_life_hours=2.0)
    feel(mood, {"sadness": 1.0}, 0, hours)
    feel(mood, {"joy": 1.0}, 2 * HOUR_MS, hours)
    feel(mood, {"anger": 1.0}, 0, hours)
    assert current(mood, 2 * HOUR_MS, hours) == pytest.approx(
        {"sadness": 0.5, "joy": 1.0, "anger": 0.5}
    )
    assert valence(mood, 2 * HOUR_MS, hours) == pytest.approx(0.0)
    assert abs(valence(mood, 48 * HOUR_MS, hours)) < 0.01


@pytest.mark.parametrize(
    ("mode", "felt", "brighter"),
    [("off", -0.8, 0), ("match", -0.8, -1), ("match", 0.8, 1), ("lift", -0.8, 1), ("lift", 0.8, 0)],
)
def test_a_mood_moves_shares_only_as_its_mode_says(mode, felt, brighter):
    moved = bend({1: 0.5, 2: 0.5}, {1: 0.9, 2: -0.9}, felt, MoodSettings(mode=mode))
    assert np.sign(round(moved[1] - moved[2], 9)) == brighter
    assert sum(moved.values()) == pytest.approx(1.0)


# --- composing


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


@pytest.mark.parametrize("fields", [{"interest_places": 11}, {"explore_places": -1},
                                    {"most": {"friends": 1}}])  # fmt: skip
def test_a_strategy_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match=r"0 to 10|legal are"):
        Strategy(**fields)


# --- in the ranking


def ranking(**fields) -> Ranked:
    return Ranked(Ranking(RankingSettings(interests=S, **fields), Weights(), LearningSettings()))


def with_about(message, vector, **fields):
    return msgspec.structs.replace(message, about=about(vector, **fields))


def checkerboard(stage: Ranked, burst: int) -> ListRow:
    """Ten items of one interest, then a burst of another; the last list."""
    for kind, vector, count in (("a", A, 10), ("b", B, burst)):
        for n in range(count):
            rows = [near(f"{kind}{m}", 0.5 - m / 1000) for m in range(100, 200)]
            answer = stage.answer("u", f"{kind}{n}", *rows, at_ms=1000 + n)
            stage.send(with_about(answer, vector, tags=[(kind, 1.0)]))
    return stage.lists["u"]


@pytest.mark.parametrize(("kind", "burst", "places"), [
    ("hybrid", 30, 1), ("interests", 30, 2), ("interests", 90, 1),
])  # fmt: skip
def test_a_second_interest_survives_a_burst_of_the_first(kind, burst, places):
    surfaces = {"": Strategy(kind=kind)}
    with_it, without = (
        ranking(surfaces=surfaces),
        ranking(surfaces={"": Strategy(interest_places=0)}),
    )
    row = checkerboard(with_it, burst)
    old = [item for item in row.ids[:10] if item.startswith("a")]
    assert len(old) == places
    assert not [i for i in checkerboard(without, burst).ids[:10] if i.startswith("a")]
    scores = np.frombuffer(row.scores, "<f4")
    assert (np.diff(scores) <= 0).all()
    at = row.ids.index(old[0])
    assert row.texts[row.reasons[at]] == "Because of your interest in a"
    assert row.seed_items[row.seeds[at]][0].startswith("a")


def test_a_profile_shows_interests_tags_and_mood():
    stage = ranking()
    checkerboard(stage, 5)
    stage.send(said("u", 1100, stage.seq("u"), emotions={"joy": 0.5}, sentiment=0.5,
                    tags=[("heist", 1.0)]))  # fmt: skip
    (row,) = (out.message for out in stage.settle())
    assert isinstance(row, ProfileRow)
    assert [name for name, _, _ in row.interests] == ["a", "b"]
    assert sum(share for _, share, _ in row.interests) == pytest.approx(1.0)
    assert {name: sentiment for name, _, sentiment in row.tags} == {
        "a": None, "b": None, "heist": 0.5,
    }  # fmt: skip
    assert row.mood == pytest.approx({"joy": 0.5}, abs=1e-4)


def test_a_refused_candidate_counts_against_its_interest():
    stage = ranking()
    checkerboard(stage, 5)
    stage.send(noted("u", "b150", 1200, seq=stage.seq("u")))
    stage.send(noted("u", "unknown", 1201, seq=stage.seq("u")))
    user = stage.state.user.get("default\x1fu")
    assert [one.negative for one in user.interests.clusters] == [0.0, 1.0]
    assert "b150" not in stage.lists["u"].ids


def test_a_user_without_events_gets_the_topics_asked_for_then_the_segment():
    stage = ranking()
    lists = [popular_list(name, (item, figures(item, likes=5))) for name, item in
             (("category:Drama", "d"), ("segment:NZ", "s"), ("all_time", "p"))]  # fmt: skip
    stage.send(*lists)
    changed = msgspec.structs.replace(user_changed("u", 5, 1), topics=["Drama"], segment="NZ")
    stage.send(changed)
    row = stage.lists["u"]
    assert row.ids == ["d", "s", "p"]
    assert [row.texts[n] for n in row.reasons] == [
        "Popular in Drama, which you asked for", "Popular in your region (NZ)",
        "One of the most popular of all time",
    ]  # fmt: skip
    assert "topics asked for" in row.fallback


def test_every_surface_has_a_list_by_its_own_strategy():
    stage = ranking(
        surfaces={"home": Strategy(interest_places=0), "feed": Strategy(kind="history")}
    )
    stage.send(popular_list("all_time", ("p", figures("p", likes=5))))
    outs = stage.send(stage.answer("u", "x", near("y", 0.5)))
    rows = {row.surface: row for row in sent(outs, "rows")}
    assert set(rows) == {"home", "feed"}
    assert rows["feed"].strategy == "history"
    assert rows["home"].strategy == ""


def test_explored_items_come_from_the_list_of_fresh_ones_and_are_never_known():
    stage = ranking(surfaces={"": Strategy(interest_places=0, explore_places=1)})
    fresh = [(f"f{n}", figures(f"f{n}")) for n in range(3)]
    stage.send(popular_list("fresh", *fresh, ("x", figures("x"))))
    stage.touch("u", "x", *(near(f"y{n}", 0.5 - n / 100) for n in range(12)))
    row = stage.lists["u"]
    assert SOURCES[row.sources[9]] == "fresh"
    assert row.ids[9] in {"f0", "f1", "f2"}
    assert np.frombuffer(row.propensities, "<f4")[9] == pytest.approx(1 / 3)
    assert [SOURCES[n] for n in row.sources].count("fresh") == 1


# --- the whole


def test_erasure_removes_interests_mood_and_tags():
    graph = Graph()
    graph.run([listing("i1"), featured("i1", about(A, [("heist", 1.0)]), [])])
    graph.run([event("u", "i1", 1000)])
    graph.run([event("u", None, 2000, "mood", text="joy")])
    graph.run([replace_id(text_of("u", "i1", 2500))])
    user = graph.state["ranking"].user.get("default\x1fu")
    assert user.interests.clusters
    assert user.interests.tags
    assert set(user.interests.mood.weights) == {"joy", "anger"}
    graph.run([erase("u", 3000)])
    graph.run([replace_id(text_of("u", "i1", 2900), "late")])
    user = graph.state["ranking"].user.get("default\x1fu")
    assert msgspec.msgpack.encode(user.interests) == msgspec.msgpack.encode(Interests())


HIDE = Preferences(hidden_tags=["heist"])


def hiding_stream() -> list:
    """A tag comes of an item and of a text, is hidden, and others come again."""
    return [
        listing("i1"), featured("i1", about(A, [("heist", 1.0)]), []),
        listing("i2"), featured("i2", about(B, [("heist", 0.5), ("sea", 0.5)]), []),
        event("u", "i1", 1000, event_id="e1"), replace_id(text_of("u", "i1", 1500)),
        user_update("u", 2000, preferences=HIDE, event_id="s1"),
        event("u", "i2", 3000, event_id="e2"), replace_id(text_of("u", "i2", 3500), "t2"),
        user_update("u", 4000, event_id="s2"),  # of a program that knows nothing of hidden tags
    ]  # fmt: skip


def test_a_hidden_tag_leaves_and_does_not_come_back_also_in_a_replay():
    graph = Graph()
    graph.run_all(hiding_stream())
    user = graph.state["ranking"].user.get("default\x1fu")
    assert set(user.interests.tags) == {"sea"}
    (profile,) = (row for row in graph.settle() if isinstance(row, ProfileRow))
    assert [name for name, _, _ in profile.tags] == ["sea"]
    assert [name for name, _, _ in profile.interests] == ["sea", "Title i1"]
    assert profile.interests[1][1] == 0  # what it was about is hidden: it no longer counts
    graph.run_all(hiding_stream())  # the topics once more, under the same state
    again = Graph()
    again.run_all(hiding_stream())
    for one in graph, again:
        found = one.state["ranking"].user.get("default\x1fu").interests
        assert msgspec.msgpack.encode(found) == msgspec.msgpack.encode(user.interests)


def test_a_hidden_tag_leaves_the_reasons_of_the_stored_row_at_once():
    graph = Graph(ranking=RankingSettings(surfaces={"": Strategy(kind="interests")}))
    graph.run([listing("i1"), featured("i1", about(A, [("heist", 1.0)]), [("i2", 0.9)])])
    outs = graph.run([event("u", "i1", 1000)])
    (row,) = (out.message for out in outs["rows"] if isinstance(out.message, ListRow))
    assert row.texts == ["Because of your interest in heist"]
    outs = graph.run([user_update("u", 2000, preferences=HIDE)])
    (row,) = (out.message for out in outs["rows"] if isinstance(out.message, ListRow))
    assert not any("heist" in text for text in row.texts)


def test_the_newest_word_on_hidden_tags_counts_and_an_erasure_forgets_it():
    graph = Graph()
    graph.run([user_update("u", 3000, preferences=Preferences(hidden_tags=["sea"]))])
    graph.run([user_update("u", 2000, preferences=HIDE)])
    assert graph.state["ranking"].user.get("default\x1fu").interests.hidden == ["sea"]
    graph.run([user_update("u", 4000, preferences=Preferences(hidden_tags=[]))])
    assert graph.state["ranking"].user.get("default\x1fu").interests.hidden == []
    graph.run([user_update("u", 5000, preferences=HIDE), erase("u", 6000)])
    assert graph.state["ranking"].user.get("default\x1fu").interests.hidden == []


def replace_id(message, event_id: str = "t1"):
    return msgspec.structs.replace(message, event_id=event_id)


def text_of(user: str, item: str, at_ms: int):
    signal = TextSignal(
        event_id="t", event_time=at_ms, user_id=user, item_id=item, language="en", sentiment=-0.5,
        emotions={"anger": 0.5, "boredom": 1.0}, topics=[], tags=[Named("heist", 0.5)],
        vector=[1.0, 0.0], model="m/1", action="review",
    )  # fmt: skip
    found = written(encode(signal), 10**6, Border())
    assert not isinstance(found, Rejected)
    return found


def test_a_text_comes_once_and_only_known_emotions_count():
    graph = Graph()
    first = text_of("u", "i1", 2000)
    assert set(first.emotions) <= set(EMOTIONS)
    graph.run([event("u", "i1", 1000)])
    graph.run([first])
    again = graph.run([first])
    assert [(out.key, out.message) for out in again["count"]] == [("duplicates", 1)]
    assert graph.state["ranking"].user.get("default\x1fu").interests.mood.weights == {"anger": 0.5}


def test_a_text_does_not_count_as_the_event_it_came_with():
    graph = Graph()
    one = event("u", "i1", 2000, "review", value=5.0, event_id="same")
    graph.run([one, replace_id(text_of("u", "i1", 2000), "same")])
    user = graph.state["ranking"].user.get("default\x1fu")
    assert user.counts == {"review": 1}
    assert user.interests.tags


@pytest.mark.parametrize("raw", [None, b"{", b"{}", b"x" * 2_000_000])
def test_a_bad_signal_is_refused(raw):
    refused = written(raw, 10**6, Border())
    assert isinstance(refused, Rejected)
    assert refused.reason


def test_preferences_travel_from_the_event_to_the_list():
    graph = Graph()
    graph.run_all(listing(f"i{n}", categories=["Drama" if n % 2 else "War"]) for n in range(4))
    graph.run_all(event("x", f"i{n}", 1000 + n) for n in range(4))
    rows = graph.run([user_update("new", 5000, preferences=Preferences(topics=["Drama"]))])["rows"]
    row = next(out.message for out in rows if isinstance(out.message, ListRow))
    assert set(row.ids[:2]) == {"i1", "i3"}
    assert replace(graph.state["ranking"].user.get("default\x1fnew"), seen=None).topics == ["Drama"]
