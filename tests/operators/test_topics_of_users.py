"""Own topics on their way to a user: profile, reasons, names that change, hiding."""

import pytest

from operators.composing import Strategy
from operators.describing import TAGS_MAX, featured, written
from operators.events import Border, Preferences
from operators.features_wire import ItemFeatures, Named, TextSignal, encode
from operators.interests import Interests, hide, name_of, touch
from operators.parameters import InterestSettings, RankingSettings
from operators.results import ListRow, ProfileRow
from tests.abouts import A, B, about
from tests.builders import event, listing, user_update
from tests.driven import featured as told
from tests.graph import Graph

OLD, NEW, CHINESE = "guitar #1-aaaa", "guitar / strap #1-aaaa", "吉他 / 背带 #1-aaaa"


def interests_of(graph: Graph) -> Interests:
    return graph.state["ranking"].user.get("default\x1fu").interests


def liked(*names: str) -> Graph:
    """A user likes an item of each of these topics, all in one direction."""
    graph = Graph(ranking=RankingSettings(surfaces={"": Strategy(kind="interests")}))
    for number, name in enumerate(names):
        item = f"i{number}"
        graph.run([listing(item), told(item, about(A, [(name, 0.5)]), [("other", 0.9)])])
        graph.run([event("u", item, 1000 + number, event_id=f"e{number}")])
    return graph


def test_a_topic_goes_on_under_the_name_it_has_now_in_whatever_language():
    mine = interests_of(liked(OLD, NEW, CHINESE))
    assert list(mine.tags) == list(mine.clusters[0].tags) == [CHINESE]
    assert mine.clusters[0].tags[CHINESE] == pytest.approx(3 * 0.5 * 0.8)
    assert len(interests_of(liked(OLD, "guitar #2-bbbb")).tags) == 2


def test_interests_and_reasons_name_it_without_its_id():
    graph = Graph(ranking=RankingSettings(surfaces={"": Strategy(kind="interests")}))
    graph.run([listing("i0"), told("i0", about(A, [(NEW, 0.5)]), [("other", 0.9)])])
    rows = [out.message for out in graph.run([event("u", "i0", 1000)])["rows"]]
    (row,) = (one for one in rows if isinstance(one, ListRow))
    assert row.texts == ["Because of your interest in guitar / strap"]
    (profile,) = (one for one in graph.settle() if isinstance(one, ProfileRow))
    assert [name for name, _, _ in profile.interests] == ["guitar / strap"]
    assert [name for name, _, _ in profile.tags] == [NEW]


@pytest.mark.parametrize("said", [OLD, NEW, "guitar"])
def test_a_hidden_topic_does_not_come_back_under_another_name(said):
    graph = liked(OLD)
    preferences = Preferences(hidden_tags=[said])
    graph.run([user_update("u", 2000, preferences=preferences, event_id="s1")])
    assert interests_of(graph).tags == {}
    for number, name in enumerate((OLD, NEW, CHINESE)):
        item = f"n{number}"
        graph.run([listing(item), told(item, about(B, [(name, 1.0), ("sea", 0.5)]), [])])
        graph.run([event("u", item, 3000 + number, event_id=f"n{number}")])
    assert list(interests_of(graph).tags) == ["sea"]
    assert NEW not in name_of(interests_of(graph).clusters[1], interests_of(graph).hidden)


def test_what_is_hidden_no_more_comes_back():
    mine = Interests()
    touch(mine, about(A, [(OLD, 1.0)]), ("i", "I"), 10, 0, InterestSettings())
    assert hide(mine, ["guitar"], 1)
    assert mine.hidden == ["guitar", OLD]
    assert hide(mine, [], 2)
    touch(mine, about(A, [(NEW, 1.0)]), ("i", "I"), 10, 0, InterestSettings())
    assert list(mine.tags) == [NEW]


def record(topics, tags):
    return ItemFeatures(
        item_id="x", event_time=1000, model="m/1", vector=[1.0, 0.0], language="en",
        topics=topics, tags=tags, sentiment=0.0, neighbours=[],
    )  # fmt: skip


def test_topics_keep_their_places_beside_tags_that_all_weigh_more():
    topics = [Named(f"topic {n}", 0.1) for n in range(3)]
    tags = [Named(f"tag {n}", 1.0 - n / 100) for n in range(TAGS_MAX)]
    found = featured(b"x", encode(record(topics, tags)), 0, 10**6, Border()).about.tags
    assert [name for name, _ in found] == [
        "tag 0", "tag 1", "tag 2", "tag 3", "tag 4", "topic 0", "topic 1", "topic 2"
    ]  # fmt: skip
    signal = TextSignal(
        event_id="t", event_time=1000, user_id="u", language="en", sentiment=0.0, emotions={},
        topics=topics, tags=tags, vector=[],
    )  # fmt: skip
    assert written(encode(signal), 10**6, Border()).tags == found


def test_a_word_that_is_topic_and_tag_is_there_once_and_more_topics_are_tags():
    topics = [Named(name, weight) for name, weight in (("a", 0.2), ("b", 0.2), ("c", 0.2),
                                                      ("d", 0.9))]  # fmt: skip
    tags = [Named("a", 0.5), *(Named(f"t{n}", 0.8) for n in range(9))]
    found = dict(featured(b"x", encode(record(topics, tags)), 0, 10**6, Border()).about.tags)
    assert found["a"] == 0.5
    assert found["d"] == 0.9
    assert len(found) == TAGS_MAX
