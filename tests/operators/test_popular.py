"""The shared lists: order, succession, categories, segments, scores, what is published."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.features import Weights
from operators.leaders import Offers, place
from operators.messages import Leader, RowDue
from operators.packing import EPOCH_MS, FIGURES
from operators.parameters import LearningSettings, PopularSettings, RankingSettings
from operators.popular import Popular
from operators.ranking import Ranking
from operators.results import TrendingRow
from operators.stage import BROADCAST, DictTable, Out, StructCodec, pair_key, scoped
from tests.driven import Driven, figures, new_id, sent

HOUR_MS = 3_600_000
ROWS_MAX = 200


def popular(**settings) -> Driven:
    return Driven(Popular(PopularSettings(**settings)))


def leader(item: str, likes: int, at_ms: int = 1000, **fields) -> Leader:
    """An item of so many likes; its decayed ones are the same in every half-life unless given."""
    log2s = fields.get("log2s", (float(likes),) * 3)
    packed = figures(item, 10 * likes, likes, likes, log2s[1], log2s[2], EPOCH_MS)
    return Leader(
        at_ms, new_id(), fields.get("tenant", "default"), item, f"Title {item}", packed,
        fields.get("categories", []), log2s, fields.get("segments", {}),
        fields.get("listed", True),
    )  # fmt: skip


def gone(item: str) -> Leader:
    return leader(item, 0, listed=False)


def rows(outs: list[Out], values: dict[str, float] | None = None) -> dict[str, TrendingRow]:
    """What the ranking writes for these lists."""
    weights = Weights(values={"pop": 1.0} if values is None else values)
    ranking = Driven(Ranking(RankingSettings(), weights, LearningSettings()))
    return {row.segment: row for row in sent(ranking.send(*sent(outs, "ranking")), "rows")}


def ids(outs: list[Out]) -> dict[str, list[str]]:
    """Published items by list; for each, one bucket of the ranking is told to write its row."""
    lists = {out.message.name: out.message.ids for out in outs if out.key == BROADCAST}
    due = [out for out in outs if isinstance(out.message, RowDue)]
    assert sorted(out.message.name for out in due) == sorted(lists)
    assert all(out.key == scoped(out.message.tenant, out.message.name) for out in due)
    return lists


GENERAL = {"all_time", "1h", "1d", "30d"}


def test_a_leader_is_published_in_every_list_it_belongs_to():
    outs = popular().send(leader("a", 3, categories=["war"], segments={"NZ": 2.0}))
    names = GENERAL | {"category:war", "segment:NZ"}
    assert ids(outs) == {name: ["a"] for name in names | {"all"}}
    written = rows(outs)
    assert {name: row.ids for name, row in written.items()} == ids(outs)


def test_each_list_goes_by_its_own_score():
    stage = popular()
    outs = stage.send(
        leader("a", 3, log2s=(1.0, 2.0, 1.0), categories=["war"], segments={"NZ": 1.0}),
        leader("b", 2, log2s=(2.0, 1.0, 3.0), categories=["war"], segments={"NZ": 2.0}),
        leader("c", 1, log2s=(3.0, 3.0, 2.0)),
    )
    lists = ids(outs)
    assert {name: "".join(lists[name]) for name in lists if name != "all"} == {
        "all_time": "abc", "1h": "cba", "1d": "cab", "30d": "bca", "category:war": "ba",
        "segment:NZ": "ba",
    }  # fmt: skip


def test_ties_go_by_item_id():
    outs = popular().send(*(leader(item, 5) for item in ("c", "a", "b")))
    assert ids(outs)["all_time"] == ["a", "b", "c"]


def test_a_list_carries_the_figures_of_its_items_in_its_order():
    stage = popular()
    outs = stage.send(leader("a", 1), leader("b", 2))
    shared = next(o.message for o in outs if o.key == BROADCAST and o.message.name == "all_time")
    assert np.frombuffer(shared.rows, FIGURES)["likes"].tolist() == [2, 1]
    assert (shared.tenant, shared.ids) == ("default", ["b", "a"])


def test_a_new_report_moves_the_item():
    stage = popular()
    stage.send(leader("a", 1), leader("b", 2))
    outs = stage.send(leader("a", 3, at_ms=2000))
    assert ids(outs)["all_time"] == ["a", "b"]
    assert {out.message.time_ms for out in outs if out.to == "ranking"} == {2000}


def test_who_leaves_has_a_successor():
    stage = popular(list_max=2)
    for likes, item in enumerate("dcba", start=1):
        outs = stage.send(leader(item, likes))
    assert ids(outs)["all_time"] == ["a", "b"]
    assert ids(stage.send(gone("a")))["all_time"] == ["b", "c"]
    assert ids(stage.send(gone("b")))["all_time"] == ["c", "d"]
    assert ids(stage.send(gone("c")))["all_time"] == ["d"]
    last = ids(stage.send(gone("d")))
    assert set(last) == GENERAL | {"all"}
    assert not any(last.values())


def test_an_item_in_no_list_is_forgotten():
    stage = popular(list_max=1)
    for item, likes in (("item-c", 1), ("item-b", 2), ("item-a", 3)):
        stage.send(leader(item, likes))
    assert [stage.mentions(f"item-{name}") for name in "abc"] == [True, True, False]
    assert stage.send(leader("item-c", 1)) == []
    assert not stage.mentions("item-c")
    stage.send(gone("item-b"))
    assert not stage.mentions("item-b")


def test_an_item_pushed_out_of_one_list_stays_known_for_another():
    stage = popular(list_max=1)
    stage.send(leader("x", 1, log2s=(9.0, 9.0, 9.0)))
    for item, likes in (("a", 2), ("b", 3)):
        outs = stage.send(leader(item, likes, log2s=(0.0, 0.0, 0.0)))
    assert ids(outs)["all_time"] == ["b"]
    assert ids(stage.send(gone("a")))["1h"] == ["x"]


def test_an_item_that_changes_its_category_changes_the_list():
    stage = popular()
    stage.send(leader("a", 2, categories=["war"]), leader("b", 1, categories=["war"]))
    lists = ids(stage.send(leader("a", 2, categories=["drama"])))
    assert lists["category:war"] == ["b"]
    assert lists["category:drama"] == ["a"]


def test_an_unknown_item_that_leaves_changes_nothing():
    stage = popular()
    stage.send(leader("a", 1))
    before = stage.data()
    assert stage.send(gone("b")) == []
    assert stage.data() == before


def test_the_row_all_merges_the_general_lists_by_reciprocal_rank():
    stage = popular(list_max=3)
    outs = stage.send(
        leader("a", 9, log2s=(1.0, 1.0, 1.0)),
        leader("b", 8, log2s=(3.0, 3.0, 2.0)),
        leader("c", 7, log2s=(2.0, 2.0, 3.0)),
    )
    # places from 0: a 0 2 2 2, b 1 0 0 1, c 2 1 1 0; the sums of 1/(60 + place) order b, c, a
    assert sum(1 / (60 + place) for place in (1, 0, 0, 1)) > sum(
        1 / (60 + place) for place in (2, 1, 1, 0)
    )
    assert ids(outs)["all"] == ["b", "c", "a"]


def test_a_place_in_several_lists_is_worth_more_than_the_first_of_one():
    recent = {"p": 9.0, "q": 8.0, "r": 7.0, "y": 6.0, "x": 1.0}
    outs = popular(list_max=4).send(
        *(leader(item, likes, log2s=(recent[item],) * 3)
          for item, likes in (("x", 9), ("p", 8), ("q", 7), ("r", 6), ("y", 5)))
    )  # fmt: skip
    # x: 1/60; y: 3/63, where an offset of 1 would put x first, 1 against 3/4
    assert ids(outs)["all"] == ["p", "q", "r", "y", "x"]


def test_all_is_written_only_when_a_general_list_changes():
    stage = popular(list_max=1)
    stage.send(leader("a", 3), leader("b", 2))
    outs = stage.send(leader("c", 1, categories=["war"]))
    assert set(rows(outs)) == {"category:war"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("all", "Popular right now"),
        ("all_time", "One of the most popular of all time"),
        ("1h", "Popular in the last hour"),
        ("1d", "Popular today"),
        ("30d", "Popular this month"),
        ("category:Sci-Fi: new", "Popular in Sci-Fi: new"),
        ("segment:NZ", "Popular in your region (NZ)"),
    ],
)
def test_a_list_says_why(name, reason):
    outs = popular().send(leader("a", 1, categories=["Sci-Fi: new"], segments={"NZ": 0.0}))
    assert rows(outs)[name].reason == reason


def scores(row: TrendingRow) -> tuple[list[float], list[float]]:
    return np.frombuffer(row.scores, "<f4").tolist(), np.frombuffer(row.item_scores, "<f4").tolist()


def test_the_item_part_is_measured_against_the_best_of_each_list():
    at_ms = EPOCH_MS + 9 * HOUR_MS
    values = {"pop": 1.0, "pop1d": 10.0, "pop30d": 100.0, "quality": 1000.0, "age": 10_000.0}
    outs = popular().send(
        leader("a", 7, at_ms=at_ms, log2s=(0.0, 2.0, 1.0)),
        leader("b", 3, at_ms=at_ms, log2s=(0.0, 1.0, 3.0)),
    )
    age = 10_000 * math.log(10) / 4
    a = 0 + 0 + 100 * (1 - 3) / 4 + 1000 * 4 * (9.5 / 12 - 0.5) + age
    b = math.log(4 / 8) / 2 + 10 * (1 - 2) / 4 + 0 + 1000 * 4 * (5.5 / 8 - 0.5) + age
    _, parts = scores(rows(outs, values)["all_time"])
    assert parts == pytest.approx([a, b], rel=1e-6)


def test_the_score_of_a_shared_item_adds_what_an_unnamed_candidate_gets():
    values = {"pop": 2.0, "c0log": 3.0, "rank": 5.0, "c0": 4.0, "in_cf": 7.0}
    whole, parts = scores(rows(popular().send(leader("a", 1)), values)["all_time"])
    outside = 3 * math.log(0.001) / 3 - 5 * math.log2(1 + ROWS_MAX) / 4
    assert whole[0] - parts[0] == pytest.approx(outside, rel=1e-6)


def test_a_row_is_always_later_than_the_one_before_it():
    stage = popular()
    first = rows(stage.send(leader("a", 1, at_ms=5)))["1h"]
    same = rows(stage.send(leader("b", 1, at_ms=5)))["1h"]
    late = rows(stage.send(leader("c", 1, at_ms=4)))["1h"]
    later = rows(stage.send(leader("c", 2, at_ms=6)))["1h"]
    times = [one.written_us for one in (first, same, late, later)]
    assert times == [5000, 5001, 5002, 6000]


def test_a_batch_gives_one_row_a_list():
    outs = popular().send(*(leader(f"i{n}", n + 1, at_ms=n) for n in range(10)))
    assert len(ids(outs)) == len(sent(outs, "ranking")) / 2 == len(GENERAL) + 1


def test_tenants_have_lists_of_their_own():
    stage = popular()
    outs = stage.send(leader("a", 9), leader("a", 1, tenant="shop"), leader("b", 2, tenant="shop"))
    found = {(o.message.tenant, o.message.name): o.message.ids for o in outs if o.key == BROADCAST}
    assert found["default", "all_time"] == found["default", "all"] == ["a"]
    assert found["shop", "all_time"] == ["b", "a"]
    assert set(found["shop", "all"]) == {"a", "b"}


def test_without_rows_the_ranking_is_told_the_same_lists() -> None:
    told = [leader("a", 3), leader("b", 5, categories=["jazz"])]
    whole, unread = popular().send(*told), popular(rows=False).send(*told)
    assert [out for out in whole if out.key == BROADCAST] == unread
    assert len(unread) < len(whole)


def ordered(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda name: (-scores[name], name))


MOVES = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.none() | st.integers(0, 5)), max_size=30
)  # fmt: skip


@given(MOVES, st.integers(0, 2))
def test_a_list_keeps_the_best_in_order_and_knows_just_its_items(moves, size):
    """Many ties: of equal ones the first name is the better."""
    stage, kept = popular(list_max=size), {}
    for item, likes in moves:
        stage.send(gone(item) if likes is None else leader(item, likes))
        kept.pop(item, None)
        if likes is not None:
            kept[item] = float(likes)
        kept = {name: kept[name] for name in ordered(kept)[: 2 * size]}
        members = stage.state.members.get(pair_key("default", "all_time")) or {}
        assert list(members.items()) == list(kept.items())
        assert [key for key, _ in stage.state.item.items()] == [
            scoped("default", name) for name in sorted(kept)
        ]


@given(MOVES, st.integers(0, 3))
def test_of_the_leaders_of_a_bucket_the_last_in_order_leaves(moves, size):
    leaders, told = {}, {}
    for item, score in moves:
        told.pop(item, None)
        if score is not None:
            told[item] = float(score)
        told = {name: worth for name, worth in told.items() if name in ordered(told)[:size]}
        assert place(leaders, item, score, size) == (item in told)
        assert list(leaders.items()) == list(told.items())


@given(MOVES, st.integers(0, 3), st.integers(1, 5))
def test_the_offers_of_a_batch_are_taken_as_one_by_one(moves, size, length):
    leaders, table = {}, DictTable(StructCodec(dict[str, float]))
    for number, (item, likes) in enumerate(moves):
        if number % length == 0:
            offers = Offers(table, size)
        score = None if likes is None else float(likes)
        before = item in leaders
        assert (place(leaders, item, score, size) or before) == offers.offer("", item, score)
        assert list((table.get("") or {}).items()) == list(leaders.items())
