"""Interests, tags and mood in lists and profiles, from events to rows."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from operators.composing import Strategy
from operators.describing import written
from operators.events import EMOTIONS, Border, Preferences, Rejected
from operators.features_wire import Named, TextSignal, encode
from operators.interests import (
    Interests,
)
from operators.messages import SOURCES
from operators.parameters import LearningSettings, RankingSettings
from operators.ranking import Ranking, Weights
from operators.results import ListRow, ProfileRow
from tests.abouts import A, B, S, about
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
