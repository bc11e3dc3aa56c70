"""What items say: the stage that tells others, and how neighbours answer with it."""

import numpy as np
import pytest
from hypothesis import given, settings

from operators.content import Content
from operators.describing import featured as read
from operators.events import Border, Preferences, Rejected
from operators.features_wire import (
    Complete,
    ItemFeatures,
    Named,
    Near,
    encode,
    marker_key,
    on_wire,
)
from operators.figures import ALIKE_MAX, Figures
from operators.id_list import split
from operators.messages import SOURCES, About, Described, Grown, Meeting
from operators.neighbours import Neighbours
from operators.packing import CODE_DIMENSIONS, PULLED, code_of, item_key
from operators.parameters import ContentSettings, FiguresSettings, NeighboursSettings
from operators.results import ListRow, SimilarRow
from tests.builders import event, listing, user_update
from tests.driven import Driven, counted, featured, figures, learn, near_to, new_id, sent, signal
from tests.graph import Graph
from tests.strategies import ITEMS, streams

ABOUT = About("m/1", b"\x7f\x00", [("heist", 1.0)], 0.5)
BORDER = Border()


def stage(**fields) -> Driven:
    return Driven(Content(ContentSettings(**fields)))


def neighbours(**fields) -> Driven:
    fields = {"content_worth": 0.1, "content_until": 20.0, **fields}
    return Driven(Neighbours(NeighboursSettings(**fields)))


def told(outs) -> set[tuple[str, str, float, bool]]:
    return {(one.item, one.other, one.similarity, one.own) for one in sent(outs, "figures")
            if isinstance(one, Meeting)}  # fmt: skip


def answered(driven: Driven, item: str, strength: int = 10) -> dict[str, tuple[float, float]]:
    """Similarity and its part of content, by item."""
    figured = figures(item, raw=strength)
    (pulled,) = sent(driven.send(learn(counted(signal("u", item), figured), strength)), "ranking")
    rows = np.frombuffer(pulled.rows, PULLED)
    return {name: (float(row["sim"]), float(row["content"]))
            for name, row in zip(split(pulled.ids), rows, strict=True)}  # fmt: skip


def test_both_items_hear_of_each_other():
    outs = stage().send(featured("new", ABOUT, [("a", 0.9), ("b", 0.4)]))
    assert told(outs) == {("new", "a", 0.9, False), ("a", "new", 0.9, True),
                          ("new", "b", 0.4, False), ("b", "new", 0.4, True)}  # fmt: skip
    (described,) = (one for one in sent(outs, "figures") if isinstance(one, Described))
    assert (described.item, described.about) == ("new", ABOUT)


def test_an_item_no_longer_named_is_parted_and_an_older_record_is_not_used():
    one = stage()
    one.send(featured("x", ABOUT, [("a", 0.9), ("b", 0.4)], 1000))
    outs = one.send(featured("x", ABOUT, [("b", 0.5)], 2000))
    assert ("a", "x", 0.0, True) in told(outs)
    assert ("x", "a", 0.0, False) in told(outs)
    assert ("x", "b", 0.5, False) in told(outs)
    late = one.send(featured("x", ABOUT, [("c", 0.9)], 1500))
    assert [out.key for out in late] == ["older_features"]


def test_itself_and_what_is_not_similar_are_no_neighbours_and_there_is_a_bound():
    outs = stage(near_max=1).send(
        featured("x", ABOUT, [("x", 1.0), ("a", -0.1), ("b", 0.3), ("c", 0.2)])
    )
    assert {one[1] for one in told(outs) if one[0] == "x"} == {"b"}


def test_an_untouched_item_is_in_the_answer_of_what_says_the_like():
    driven = neighbours()
    driven.send(near_to("a", "new", 0.8))
    assert answered(driven, "a")["new"] == pytest.approx((0.0, 0.08))


def test_what_people_do_takes_over_as_they_do_it():
    driven = neighbours()
    driven.send(near_to("a", "new", 0.8))
    shares = []
    for _ in range(50):
        answered(driven, "a")
        (row,) = (out.message for out in driven.settle())
        shares.append(np.frombuffer(row.scores, "<f4")[0])
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.08 * 20 / (20 + 50))


def test_content_is_said_beside_a_pair_that_people_made_and_adds_nothing_to_it():
    alone, both = neighbours(), neighbours()
    both.send(near_to("a", "b", 0.5))
    one = counted(signal("u", "a"), figures("a", raw=10))
    for driven in (alone, both):
        driven.send(learn(one, 10, ("b", 900, 300, figures("b", raw=10))))
    without, with_it = answered(alone, "a"), answered(both, "a")
    assert without["b"][1] == 0
    assert with_it["b"] == pytest.approx((without["b"][0], 0.05))
    assert len(with_it) == 1


def test_the_most_similar_stay_and_a_parted_one_goes():
    driven = neighbours(alike_max=2)
    driven.send(near_to("a", "x", 0.3))
    driven.send(near_to("a", "y", 0.5))
    driven.send(near_to("a", "z", 0.4))
    assert set(answered(driven, "a")) == {"y", "z"}
    driven.send(near_to("a", "y", 0.0))
    assert set(answered(driven, "a")) == {"z"}


def test_each_record_may_only_take_back_what_it_said_itself():
    driven = neighbours()
    driven.send(near_to("a", "b", 0.6, own=True))
    driven.send(near_to("a", "b", 0.4, own=False))
    driven.send(near_to("a", "b", 0.0, own=True))
    assert set(answered(driven, "a")) == {"b"}
    driven.send(near_to("a", "b", 0.0, own=False))
    assert answered(driven, "a") == {}


def test_similar_items_show_both_kinds():
    driven = neighbours(similar_max=2)
    one = counted(signal("u", "a"), figures("a", raw=10))
    driven.send(learn(one, 10, *((other, 900, 0, figures(other, raw=10)) for other in "bcd")))
    driven.send(near_to("a", "new", 0.1))
    (row,) = (out.message for out in driven.settle())
    assert [SOURCES[source] for source in row.sources] == ["co_occurrence"] * 2 + ["content"]
    assert row.ids[-1] == "new"


def test_an_item_of_which_only_the_content_is_known_has_similar_items():
    driven = neighbours()
    driven.send(near_to("new", "a", 0.5), Described(1000, "d", "default", "new", "New", ABOUT))
    (row,) = (out.message for out in driven.settle())
    assert isinstance(row, SimilarRow)
    assert (row.title, row.ids) == ("New", ["a"])


def features_of(item: str, near: list[tuple[str, float]], at_ms: int = 0, **fields) -> bytes:
    vector = np.zeros(4, "f4")
    vector[int(item[1:] or 0) % 4 if item[1:].isdigit() else 0] = 1
    record = ItemFeatures(
        item_id=item, event_time=at_ms, model="m/1", vector=on_wire(vector), language="en",
        topics=[Named("crime", 0.25)], tags=[Named("heist", 0.5)], sentiment=0.5,
        neighbours=[Near(*one) for one in near], **fields,
    )  # fmt: skip
    return encode(record)


def test_a_record_becomes_a_message():
    message = read(b"i1", features_of("i1", [("i2", 0.5)], 7), 0, 10**6, BORDER)
    assert (message.item, message.time_ms, message.near) == ("i1", 7, [("i2", 0.5)])
    assert message.about.tags == [("heist", 0.5), ("crime", 0.25)]
    assert message.about.code == bytes([0, 127, 0, 0])
    gone = read(b"i1", None, 9, 10**6, BORDER)
    assert (gone.item, gone.time_ms, gone.about) == ("i1", 9, None)
    marker = Complete(event_time=7, model="m/1")
    assert read(marker_key("t").encode(), encode(marker), 0, 10**6, BORDER) is None


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        (b"i", b"{", "json"),
        (b"i", b"{}", "contract"),
        (b"i1", features_of("i1", [], 10**9), "future"),
        (b"i1", features_of("i" * 300, []), "contract"),
        (b"i1", features_of("i1", [("é" * 200, 0.5)]), "contract"),
        (b"i" * 300, None, "contract"),
        (b"i1", b"[" * 2_000_000, "size"),
    ],
)
def test_what_does_not_fit_is_refused(key, value, kind):
    refused = read(key, value, 0, 1000, BORDER)
    assert isinstance(refused, Rejected)
    assert refused.kind == kind
    assert refused.reason


def test_a_code_keeps_the_angles_of_a_long_vector():
    rng = np.random.default_rng(5)
    many = rng.normal(size=(40, 384)).astype("f4")
    many[20:] = 0.5 * many[:20] + many[20:]
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    codes = np.stack([np.frombuffer(code_of(one), "i1") for one in many]).astype("f4")
    assert codes.shape[1] == CODE_DIMENSIONS
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    error = (codes @ codes.T) - (many @ many.T)
    assert np.abs(error).max() < 4 / np.sqrt(CODE_DIMENSIONS)
    assert error.std() < 1.2 / np.sqrt(CODE_DIMENSIONS)
    assert code_of(np.zeros(384, "f4")) == b""


def catalogue(graph: Graph, near: int = 4) -> None:
    graph.run_all(listing(item) for item in ITEMS)
    for n, item in enumerate(ITEMS):
        others = [(ITEMS[(n + step) % len(ITEMS)], 1 - step / 10) for step in range(1, near + 1)]
        graph.run([read(item.encode(), features_of(item, others), 0, 10**6, BORDER)])


def test_an_item_that_nobody_has_touched_is_listed_because_of_one_that_says_the_like():
    graph = Graph()
    graph.run_all(listing(item) for item in ITEMS)
    message = read(b"i8", features_of("i8", [("i0", 0.9)]), 0, 10**6, BORDER)
    graph.run([message])
    rows = graph.run([event("u", "i0", 1000)])["rows"]
    row = next(out.message for out in rows if isinstance(out.message, ListRow))
    assert row.ids == ["i8"]
    assert row.seed_items == [("i0", "Title i0")]


@given(streams(max_size=40))
@settings(max_examples=30, deadline=None)
def test_no_list_with_content_ever_holds_a_seen_or_refused_item(records):
    graph, touched = Graph(), {}
    catalogue(graph)
    for one in records:
        if hasattr(one, "action"):
            touched.setdefault(one.user_id, set()).add(one.item_id)
        for out in graph.run([one])["rows"]:
            if isinstance(out.message, ListRow):
                assert not touched[out.message.user] & set(out.message.ids)
                assert len(set(out.message.ids)) == len(out.message.ids)


def test_content_brings_in_no_unavailable_item_and_none_of_a_blocked_category():
    graph = Graph()
    graph.run_all(
        listing(item, categories=["war" if item == "i2" else "drama"], available=item != "i3")
        for item in ITEMS
    )
    near = [(item, 0.9) for item in ("i2", "i3", "i4")]
    graph.run([read(b"i0", features_of("i0", near), 0, 10**6, BORDER)])
    graph.run([user_update("u", 500, preferences=Preferences(blocked_categories=["war"]))])
    rows = graph.run([event("u", "i0", 1000)])["rows"]
    row = next(out.message for out in rows if isinstance(out.message, ListRow))
    assert row.ids == ["i4"]


def test_the_key_of_a_row_is_that_of_its_item():
    driven = neighbours()
    driven.send(near_to("a", "b", 0.5))
    figured = figures("a", raw=10)
    (pulled,) = sent(driven.send(learn(counted(signal("u", "a"), figured), 10)), "ranking")
    assert np.frombuffer(pulled.rows, PULLED)["key"].tolist() == [item_key("b")]


def told_of(graph: Graph, item: str, other: str) -> float:
    """How many have touched what is alike, as the answers of an item have it."""
    content = graph.state["neighbours"].content.get(f"default\x1f{item}")
    found: float = content.figures[content.ids.index(other)].view(np.float32)[4]
    return found


def test_what_is_alike_hears_each_time_twice_as_many_have_touched_an_item():
    graph = Graph()
    graph.run_all([listing("a"), listing("b"), featured("b", ABOUT, [("a", 0.9)])])
    heard = [told_of(graph, "a", "b")]
    for n in range(9):
        graph.run([event(f"u{n}", "b", 1000 + n, event_id=f"e{n}")])
        heard.append(told_of(graph, "a", "b"))
    assert heard == [0, 1, 2, 2, 4, 4, 4, 4, 8, 8]
    assert told_of(graph, "b", "a") == 0


def test_what_has_parted_hears_no_more_and_so_does_nobody_of_a_forgotten_item():
    stage = Driven(Figures(FiguresSettings(item_idle_ms=86_400_000)))

    def meet(other: str, similarity: float, own: bool) -> None:
        stage.send(Meeting(1000, new_id(), "default", "b", other, similarity, own))

    def hears(user: str, at_ms: int = 2000) -> set[str]:
        grown = sent(stage.send(signal(user, "b", at_ms)), "neighbours")
        return {one.item for one in grown if isinstance(one, Grown)}

    for own in True, False:
        meet("a", 0.9, own)
    meet("c", 0.5, True)
    assert hears("u1") == {"a", "c"}
    meet("a", 0.0, True)  # its own record still names it
    assert hears("u2") == {"a", "c"}
    meet("a", 0.0, False)
    assert hears("u3") == set()
    assert hears("u4") == {"c"}
    assert "default\x1fb" in stage.state.alike.data
    stage.send(signal("u", "x", 10 * 86_400_000))
    assert stage.state.alike.data == {}


def test_of_many_that_hold_an_item_a_bounded_number_hears_of_it():
    stage = Driven(Figures(FiguresSettings()))
    for n in range(ALIKE_MAX + 5):
        stage.send(Meeting(1000 + n, new_id(), "default", "b", f"a{n}", 0.9, True))
    assert len(sent(stage.send(signal("u", "b", 2000)), "neighbours")) == ALIKE_MAX
