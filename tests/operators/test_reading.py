"""What is served from stored rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import seen
from operators.packing import item_key
from operators.reading import EMPTY, NO_ROW, NO_ROWS, ListedItem, Served, StoredList, read


def one(item: str, score: float, part: float = 0.0, source: str = "co_occurrence", **fields):
    fields = {"seed": None, "reason": f"reason of {item}", **fields}
    return ListedItem(item_id=item, score=score, item_score=part, source=source, **fields)


def row(*items: ListedItem, as_of_ms: int = 100, **fields) -> StoredList:
    return StoredList(items=items, as_of_ms=as_of_ms, **fields)


def popular(*items: ListedItem, as_of_ms: int = 50) -> StoredList:
    return row(*items, as_of_ms=as_of_ms)


def ids(served: Served) -> list[str]:
    return [listed.item_id for listed in served.items]


def test_an_item_of_both_rows_keeps_its_user_part_and_takes_the_fresh_item_part():
    own = row(one("a", 3.0, 1.0, seed="s"), one("b", 2.5, 0.5, seed="t", propensity=0.5))
    shared = popular(one("b", 0.75, 1.25, "trending"), one("c", 0.5, 0.5, "trending"))
    served = read(own, shared)
    # a 3; b 2.5 - 0.5 + 1.25 = 3.25; c as shared
    assert [(got.item_id, got.score, got.item_score, got.source) for got in served.items] == [
        ("b", 3.25, 1.25, "co_occurrence"), ("a", 3.0, 1.0, "co_occurrence"),
        ("c", 0.5, 0.5, "trending"),
    ]  # fmt: skip
    first = served.items[0]
    assert (first.reason, first.seed, first.propensity) == ("reason of b", "t", 0.5)
    assert served.items[1] == own.items[0]
    assert served.fallback is None


def test_the_age_is_that_of_the_newest_row():
    assert read(row(one("a", 1)), popular(one("b", 1))).as_of_ms == 100
    assert read(row(one("a", 1)), popular(one("b", 1), as_of_ms=200)).as_of_ms == 200
    assert read(row(one("a", 1)), None).as_of_ms == 100
    assert read(None, popular(one("b", 1))).as_of_ms == 50
    assert read(None, None).as_of_ms is None


def test_what_the_caller_excludes_or_is_unavailable_falls_out_of_both_rows():
    own, shared = row(one("a", 3), one("b", 2)), popular(one("c", 1), one("d", 0))
    assert ids(read(own, shared, exclude=["a", "c"])) == ["b", "d"]
    assert ids(read(own, shared, unavailable=["b", "d"])) == ["a", "c"]
    assert ids(read(own, shared, exclude={"a"}, unavailable={"a", "b"})) == ["c", "d"]


def test_a_known_item_is_not_added_from_the_shared_row():
    known = seen.SeenFilter(bytes(seen.build([item_key("c")], 1)))
    shared = popular(one("c", 9), one("d", 8))
    assert ids(read(row(one("a", 1)), shared, seen=known)) == ["d", "a"]
    assert ids(read(row(one("a", 1)), shared, seen=["d"])) == ["c", "a"]


def test_equal_scores_keep_the_order_of_the_rows_own_items_first():
    own = row(one("b", 1), one("a", 1))
    shared = popular(one("z", 1), one("y", 1), one("x", 2))
    assert ids(read(own, shared)) == ["x", "b", "a", "z", "y"]


def test_no_more_than_asked_for_is_served_and_ten_by_default():
    own = row(*(one(f"i{n:02}", -n) for n in range(30)))
    assert ids(read(own, None, size=3)) == ["i00", "i01", "i02"]
    assert ids(read(own, None)) == [f"i{n:02}" for n in range(10)]
    assert ids(read(own, None, size=0)) == []


@pytest.mark.parametrize(
    ("own", "shared", "exclude", "fallback"),
    [
        (None, None, (), NO_ROWS),
        (None, popular(one("a", 1)), (), NO_ROW),
        (row(one("a", 1)), popular(one("b", 1)), (), None),
        (row(one("a", 1)), None, (), None),
        (row(one("a", 1)), popular(one("b", 1)), ("a",), EMPTY),
        (row(one("a", 1)), popular(one("a", 1)), ("a",), EMPTY),
        (row(), popular(one("b", 1)), (), EMPTY),
        (row(one("a", 1), fallback="off"), popular(one("b", 1)), (), "off"),
        (row(fallback="off"), None, (), "off"),
        (row(one("a", 1), fallback="off"), popular(one("b", 1)), ("a",), "off"),
    ],
)
def test_a_list_that_is_not_the_users_own_says_why(own, shared, exclude, fallback):
    served = read(own, shared, exclude=exclude)
    assert served.fallback == fallback
    assert fallback is None or len(fallback) >= 3


def test_the_reasons_are_sentences_that_differ():
    assert len({NO_ROW, NO_ROWS, EMPTY}) == 3
    assert "popular is shown" in NO_ROW
    assert "neither" in NO_ROWS
    assert "excluded" in EMPTY


def test_own_items_compete_with_the_shared_ones_by_score_alone():
    own = row(*(one(f"a{n}", -n - 100) for n in range(3)))
    shared = popular(*(one(f"p{n}", -n) for n in range(20)))
    assert ids(read(own, shared)) == [f"p{n}" for n in range(10)]
    assert read(own, shared).fallback is None


SCORES = st.floats(-5, 5, width=16)


@st.composite
def rows(draw, names: str):
    items = draw(st.lists(st.sampled_from([f"{names}{n}" for n in range(8)] + ["x", "y"]),
                          unique=True, max_size=10))  # fmt: skip
    return StoredList(items=[one(item, draw(SCORES), draw(SCORES)) for item in items], as_of_ms=1)


@given(rows("a"), rows("b"), st.sets(st.sampled_from(["a1", "b1", "x"])), st.integers(0, 12))
def test_a_page_is_sorted_unique_and_holds_nothing_dropped(own, shared, dropped, size):
    served = read(own, shared, exclude=dropped, size=size)
    scores = [got.score for got in served.items]
    assert scores == sorted(scores, reverse=True)
    assert len(set(ids(served))) == len(served.items) <= size
    assert not dropped & set(ids(served))
    everything = {got.item_id for listed in (own, shared) for got in listed.items}
    assert len(served.items) == min(size, len(everything - dropped))


@given(rows("a"), rows("b"), st.integers(1, 5))
def test_pages_follow_each_other_without_a_repeat_or_a_gap(own, shared, size):
    whole = ids(read(own, shared, size=100))
    paged: list[str] = []
    while page := ids(read(own, shared, exclude=paged, size=size)):
        assert not set(page) & set(paged)
        paged += page
    assert paged == whole


@given(rows("a"), rows("b"))
def test_reading_changes_no_row(own, shared):
    before = [list(own.items), list(shared.items)]
    read(own, shared)
    assert [list(own.items), list(shared.items)] == before
