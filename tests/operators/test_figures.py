"""Counters of items: exact integers, decayed likes against a direct sum, leaders, catalogue."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.figures import Figures
from operators.item_figures import HALF_LIVES_MS, ItemFigures, list_scores
from operators.listing import deleted, listed
from operators.messages import Availability, Counted, Leader, Withdrawn
from operators.packing import EPOCH_MS, FIGURES, NEVER_LOG2, category_code, item_key
from operators.parameters import FiguresSettings
from operators.results import ItemRow
from operators.stage import BROADCAST, Out
from tests.builders import listing
from tests.driven import Driven, sent, signal

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def figures(**settings) -> Driven:
    return Driven(Figures(FiguresSettings(**{"item_idle_ms": 10**15, **settings})))


def stored(stage: Driven, item: str) -> ItemFigures:
    return stage.state.item.get(f"default\x1f{item}")


def catalogue(item: str, at_ms: int, **fields):
    return listed(listing(item, at_ms, **fields))


def withdrawn(item: str, strength: int, liked_ms: int | None, segment: str = "", number: int = 0):
    return Withdrawn(10**13, f"x#{number}", "default", item, strength, liked_ms, segment)


def record(counted: Counted):
    (row,) = np.frombuffer(counted.figures, FIGURES)
    return row


def leaders(outs: list[Out]) -> dict[str, Leader]:
    return {one.item: one for one in sent(outs, "popular")}


def test_a_signal_leaves_with_the_figures_it_made():
    stage = figures()
    stage.send(catalogue("i", EPOCH_MS + 5 * HOUR_MS, title="Heat", categories=["crime", "drama"]))
    at_ms = EPOCH_MS + DAY_MS
    stage.send(signal("u", "i", at_ms, 4))
    stage.send(signal("v", "i", at_ms, 6, liked=False))
    one = signal("u", "i", at_ms, 10, old=4)
    (out,) = [out for out in stage.send(one) if out.to == "history"]
    assert out.key == "default\x1fu"
    counted = out.message
    assert isinstance(counted, Counted)
    assert (counted.signal, counted.time_ms, counted.event_id) == (one, at_ms, one.event_id)
    assert (counted.title, counted.category) == ("Heat", "crime")
    row = record(counted)
    assert row["key"] == item_key("i")
    # 4 + 6 + (10 - 4); one like; two users; one like a day after 2000: log2(2^1), log2(2^(1/30))
    assert (row["raw"], row["likes"], row["users"]) == (16, 1, 2)
    assert row["likes_1d"] == 1.0
    assert row["likes_30d"] == np.float32(1 / 30)
    assert row["first_h"] == 5.0
    assert row["codes"].tolist() == [category_code("crime"), category_code("drama"), 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("strength", "old", "first", "liked", "figures_"),
    [
        (8, 0, True, True, (8, 1, 1)),
        (0, 0, True, False, (0, 0, 1)),
        (3, 0, True, False, (3, 0, 1)),
        (10, 8, False, False, (2, 0, 0)),
        (5, 8, False, False, (0, 0, 0)),
        (8, 3, False, True, (5, 1, 0)),
    ],
)
def test_what_a_signal_adds(strength, old, first, liked, figures_):
    stage = figures()
    stage.send(signal("u", "i", 1000, strength, old=old, first=first, liked=liked))
    got = stored(stage, "i")
    assert (got.raw, got.likes, got.users) == figures_
    assert got.segments == {}


def test_an_item_without_a_record_is_called_by_its_id_and_is_as_old_as_its_first_signal():
    stage = figures()
    at_ms = EPOCH_MS + 7 * HOUR_MS
    counted = sent(stage.send(signal("u", "i", at_ms)), "history")[0]
    assert (counted.title, counted.category) == ("i", "")
    assert record(counted)["first_h"] == 7.0
    later = sent(stage.send(signal("v", "i", at_ms + HOUR_MS)), "history")[0]
    assert record(later)["first_h"] == 7.0


TIMES = st.lists(st.integers(EPOCH_MS - DAY_MS, EPOCH_MS + 9000 * DAY_MS), min_size=1, max_size=20)


@given(TIMES, st.integers(0, 1000 * DAY_MS))
def test_decayed_likes_are_the_direct_sum_at_any_time(times, later_ms):
    """Σ 2^-(age / half-life), whatever the order of arrival."""
    stage = figures()
    for number, at_ms in enumerate(times):
        outs = stage.send(signal(f"u{number}", "i", at_ms, segment="NZ"))
    got = leaders(outs)["i"]
    now_ms = max(times) + later_ms
    for log2_sum, half_life_ms in zip(got.likes_log2, HALF_LIVES_MS, strict=True):
        direct = math.log2(math.fsum(2.0 ** ((at_ms - max(times)) / half_life_ms)
                                     for at_ms in times)) - later_ms / half_life_ms  # fmt: skip
        assert log2_sum - (now_ms - EPOCH_MS) / half_life_ms == pytest.approx(direct, abs=1e-6)
    assert got.segments == {"NZ": pytest.approx(got.likes_log2[-1])}


def test_half_lives_are_an_hour_a_day_and_thirty_days():
    assert HALF_LIVES_MS == (HOUR_MS, DAY_MS, 30 * DAY_MS)
    stage = figures()
    stage.send(signal("u", "old", EPOCH_MS))
    for number, half_life_ms in enumerate(HALF_LIVES_MS):
        outs = stage.send(signal("u", f"new{number}", EPOCH_MS + half_life_ms))
        assert leaders(outs)[f"new{number}"].likes_log2[number] == 1.0


@given(st.lists(st.integers(EPOCH_MS, EPOCH_MS + 39 * DAY_MS), min_size=1, max_size=8), st.data())
def test_what_is_withdrawn_is_gone(times, data):
    stays = data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times)))
    both, without = figures(), figures()
    for number, (at_ms, stay) in enumerate(zip(times, stays, strict=True)):
        one = signal(f"u{number}", "i", at_ms, 8, segment=f"s{number % 2}")
        both.send(one)
        if stay:
            without.send(one)
    for number, (at_ms, stay) in enumerate(zip(times, stays, strict=True)):
        if not stay:
            both.send(withdrawn("i", 8, at_ms, f"s{number % 2}", number))
    got, want = stored(both, "i"), stored(without, "i") or ItemFigures()
    assert (got.raw, got.likes, got.users) == (want.raw, want.likes, want.users)
    # what is left of a like forty half-lives younger than the others drowns in rounding
    assert got.likes_log2[1:] == pytest.approx(want.likes_log2[1:], abs=1e-2)
    if got.likes:
        assert {name: pytest.approx(value, abs=1e-2) for name, value in got.segments.items()} == (
            want.segments
        )
    else:
        assert got.likes_log2 == (NEVER_LOG2,) * 3
        assert got.segments == {}


def test_withdrawing_a_visit_without_a_like_leaves_the_likes():
    stage = figures()
    stage.send(signal("u", "i", EPOCH_MS, 8), signal("v", "i", EPOCH_MS, 3, liked=False))
    before = stored(stage, "i").likes_log2
    stage.send(withdrawn("i", 3, None))
    got = stored(stage, "i")
    assert (got.raw, got.likes, got.users) == (8, 1, 1)
    assert got.likes_log2 == before


def test_an_item_has_at_most_64_segments():
    stage = figures()
    for number in range(70):
        outs = stage.send(signal(f"u{number}", "i", EPOCH_MS, segment=f"s{number}"))
    assert set(leaders(outs)["i"].segments) == {f"s{number}" for number in range(64)}
    outs = stage.send(signal("v", "i", EPOCH_MS, segment="s63"))
    assert leaders(outs)["i"].segments["s63"] == 1.0
    assert stored(stage, "i").likes == 71


def test_the_lists_of_an_item_and_its_place_in_each():
    one = ItemFigures(likes=7, likes_log2=(1.0, 2.0, 3.0), categories=["war", "drama"],
                      segments={"NZ": 2.5})  # fmt: skip
    expected = {"all_time": 7.0, "1h": 1.0, "1d": 2.0, "30d": 3.0, "category:war": 3.0,
                "category:drama": 3.0, "segment:NZ": 2.5}  # fmt: skip
    assert list_scores(one) == expected
    stage = figures()
    stage.send(catalogue("i", 0, categories=["war", "drama"]))
    outs = stage.send(signal("u", "i", EPOCH_MS, segment="NZ"))
    assert list_scores(leaders(outs)["i"]) == list_scores(stored(stage, "i"))


def test_only_what_stands_among_the_leaders_is_reported():
    stage = figures(leaders=2)
    for item, likes in (("a", 3), ("b", 2), ("c", 1)):
        outs = stage.send(*(signal(f"u{n}", item, EPOCH_MS) for n in range(likes)))
        assert set(leaders(outs)) == ({item} if item != "c" else set())
    # c draws level with b, and passes it
    assert leaders(stage.send(signal("v", "c", EPOCH_MS), signal("w", "c", EPOCH_MS))).keys() == {
        "c"
    }
    # b has been pushed out: a repeat of no worth does not bring it back
    assert leaders(stage.send(signal("v", "b", EPOCH_MS, 5, old=8))) == {}


def test_each_item_is_reported_once_a_batch_as_it_is_in_the_end():
    stage = figures()
    batch = [signal(f"u{n}", "ab"[n % 2], EPOCH_MS + n) for n in range(7)]
    messages = sent(stage.send(*batch), "popular")
    assert [(one.item, list_scores(one)["all_time"], one.time_ms) for one in messages] == [
        ("a", 4.0, EPOCH_MS + 6), ("b", 3.0, EPOCH_MS + 5)
    ]  # fmt: skip


def test_an_item_nobody_likes_is_no_leader():
    stage = figures(fresh_users=0)
    assert leaders(stage.send(signal("u", "i", EPOCH_MS, 3, liked=False))) == {}
    assert leaders(stage.send(catalogue("i", EPOCH_MS))) == {}


def test_an_item_of_the_catalogue_is_fresh_until_enough_users_have_touched_it():
    stage = figures(fresh_users=2)
    new = leaders(stage.send(catalogue("i", EPOCH_MS + 5)))["i"]
    assert (new.fresh, new.listed) == (EPOCH_MS + 5, False)
    assert leaders(stage.send(signal("u", "i", EPOCH_MS + 9, liked=False)))["i"].fresh is not None
    assert leaders(stage.send(signal("v", "i", EPOCH_MS + 9, liked=False)))["i"].fresh is None
    assert leaders(stage.send(signal("w", "i", EPOCH_MS + 9, liked=False))) == {}
    gone = (
        leaders(stage.send(catalogue("k", 7)))["k"],
        stage.send(catalogue("k", 8, available=False)),
    )
    assert leaders(gone[1])["k"].fresh is None
    assert leaders(stage.send(signal("u", "unlisted", EPOCH_MS, liked=False))) == {}


def test_an_item_whose_last_like_is_withdrawn_leaves_the_lists():
    stage = figures()
    stage.send(signal("u", "i", EPOCH_MS, segment="NZ"))
    report = leaders(stage.send(withdrawn("i", 10, EPOCH_MS, "NZ")))["i"]
    assert not report.listed
    assert leaders(stage.send(withdrawn("i", 0, None, "", 1))) == {}


def test_an_item_that_leaves_makes_room_among_the_leaders():
    stage = figures(leaders=1)
    stage.send(signal("u", "a", EPOCH_MS), signal("v", "a", EPOCH_MS))
    assert leaders(stage.send(signal("u", "b", EPOCH_MS))) == {}
    assert not leaders(stage.send(catalogue("a", EPOCH_MS, available=False)))["a"].listed
    assert leaders(stage.send(signal("v", "b", EPOCH_MS)))["b"].listed


def test_a_new_category_takes_the_item_off_the_list_of_the_old_one():
    stage = figures(leaders=1)
    stage.send(catalogue("a", 0, categories=["war"]), catalogue("b", 0, categories=["war"]))
    stage.send(*(signal(f"u{n}", "a", EPOCH_MS) for n in range(3)))
    assert leaders(stage.send(signal("u0", "b", EPOCH_MS))) == {}
    report = leaders(stage.send(catalogue("a", 1, categories=["drama"])))["a"]
    assert report.categories == ["drama"]
    # b leads in nothing but the category that a has left
    assert leaders(stage.send(signal("u1", "b", EPOCH_MS))).keys() == {"b"}


def test_an_item_that_lost_its_likes_in_a_segment_makes_room_there():
    stage = figures(leaders=1)
    stage.send(signal("u", "a", EPOCH_MS, segment="NZ"),
               *(signal(f"v{n}", "a", EPOCH_MS, segment="FR") for n in range(3)))  # fmt: skip
    stage.send(withdrawn("a", 10, EPOCH_MS, "NZ"))
    # b leads in nothing but the segment in which nobody likes a any more
    assert set(leaders(stage.send(signal("w", "b", EPOCH_MS - HOUR_MS, segment="NZ")))) == {"b"}


def test_a_catalogue_record_gives_a_row_and_an_older_one_nothing():
    stage = figures()
    outs = stage.send(catalogue("i", 2000, title="New", categories=["war"]))
    row = ItemRow(2_000_000, "default", "i", "New", True, False)
    assert [out for out in outs if out.to != "popular"] == [Out("rows", "default\x1fi", row)]
    assert sent(stage.send(catalogue("i", 1999, title="Old", available=False)), "rows") == []
    assert (stored(stage, "i").title, stored(stage, "i").categories) == ("New", ["war"])
    assert sent(stage.send(catalogue("i", 2000, title="Same")), "rows")[0].title == "Same"
    assert sent(stage.send(catalogue("i", 2001, title="Newer")), "rows")[0].title == "Newer"


def test_the_age_of_an_item_is_that_of_its_first_record():
    stage = figures()
    stage.send(signal("u", "i", EPOCH_MS + 9 * HOUR_MS))
    stage.send(catalogue("i", EPOCH_MS + 2 * HOUR_MS))
    stage.send(catalogue("i", EPOCH_MS + 4 * HOUR_MS))
    counted = sent(stage.send(signal("v", "i", EPOCH_MS + 9 * HOUR_MS)), "history")[0]
    assert record(counted)["first_h"] == 2.0


def test_everybody_hears_when_an_item_comes_and_goes_and_only_then():
    stage = figures()

    def heard(message) -> list[bool]:
        outs = stage.send(message)
        told = [out for out in outs if isinstance(out.message, Availability)]
        assert all(out.to == "ranking" and out.key == BROADCAST for out in told)
        assert all(out.message.item_key == item_key("i") for out in told)
        return [out.message.available for out in told]

    assert heard(catalogue("i", 1)) == []
    assert heard(catalogue("i", 2, available=False)) == [False]
    assert heard(catalogue("i", 3, available=False)) == []
    assert heard(deleted(b"i", 4)) == []
    assert heard(catalogue("i", 5)) == [True]
    assert heard(deleted(b"i", 6)) == [False]
    assert heard(catalogue("i", 3)) == []


def test_a_deletion_removes_the_row_and_keeps_the_counters():
    stage = figures()
    stage.send(catalogue("i", 1000, title="Heat", categories=["war"]))
    stage.send(signal("u", "i", EPOCH_MS))
    outs = stage.send(deleted(b"i", 2000))
    assert sent(outs, "rows") == [ItemRow(2_000_000, "default", "i", "i", False, True)]
    assert not leaders(outs)["i"].listed
    got = stored(stage, "i")
    assert (got.likes, got.raw, got.categories, got.available) == (1, 10, [], False)
    assert leaders(stage.send(signal("v", "i", EPOCH_MS))) == {}
    assert leaders(stage.send(catalogue("i", 3000, categories=["war"])))["i"].listed


def test_items_of_two_tenants_are_counted_apart():
    stage = figures(leaders=1)
    outs = stage.send(signal("u", "i", EPOCH_MS), signal("u", "i", EPOCH_MS, tenant="shop"))
    assert [(one.tenant, list_scores(one)["all_time"]) for one in sent(outs, "popular")] == [
        ("default", 1.0), ("shop", 1.0)
    ]  # fmt: skip
    assert [out.key for out in outs if out.to == "popular"] == ["default", "shop"]


@pytest.mark.parametrize(
    ("key", "says"),
    [(b"", "0 bytes"), (None, "0 bytes"), (b"i" * 257, "257 bytes"), (b"\xff", "no UTF-8")],
)
def test_a_deletion_without_a_legal_key_is_refused(key, says):
    result = deleted(key, 5)
    assert result.kind == "contract"
    assert says in result.reason


def test_records_of_one_moment_have_one_order_and_come_before_its_events():
    first, second = catalogue("a", 5), deleted(b"b", 5)
    event = signal("u", "a", 5, event_id="\x01")
    order = Figures.order
    assert sorted([event, second, first], key=order) == [first, second, event]
