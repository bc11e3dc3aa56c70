"""Candidates of a user: what fades, what is kept, what is known, which own item speaks for one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.accumulator import RankedUser, absorb
from operators.candidates import (
    COLUMNS,
    CONTENT,
    INTEREST,
    MAIN,
    best_places,
    find_in,
    index_of,
)
from operators.features import Weights
from operators.id_list import as_text, split
from operators.kernels import place_of
from operators.parameters import LearningSettings, RankingSettings
from operators.ranking import Ranking
from operators.scoring import NO_KEYS
from operators.seen import SeenFilter
from operators.stage import DictTable
from tests.driven import (
    Ranked,
    counted,
    figures,
    near,
    noted,
    plain,
    popular_list,
    pulled,
    signal,
)

OFF = LearningSettings(enabled=False)


def ranked(values: dict[str, float] | None = None, table=DictTable, **fields) -> Ranked:
    weights = Weights(values={"c0": 1.0} if values is None else values)
    return Ranked(Ranking(RankingSettings(list_max=1000, **fields), weights, OFF), table)


def seed(stage: Ranked, item: str, user: str = "u") -> str | None:
    """The user's own item behind a listed one."""
    row = stage.lists[user]
    place = row.seeds[row.ids.index(item)]
    return None if place == 255 else row.seed_items[place][0]


class Sums:
    """The accumulators of one user by their formula, in plain floats."""

    def __init__(self, decay: float, decay_fast: float) -> None:
        self.decay, self.decay_fast = decay, decay_fast
        self.main: dict[str, float] = {}
        self.fast: dict[str, float] = {}
        self.support: dict[str, float] = {}
        self.seen: set[str] = set()

    def touch(self, item: str, strength: int, rows: list[tuple[str, float]]) -> None:
        self.seen.add(item)
        for sums, decay in ((self.main, self.decay), (self.fast, self.decay_fast),
                            (self.support, self.decay)):  # fmt: skip
            sums.pop(item, None)
            for other in sums:
                sums[other] *= decay
        for other, sim in rows:
            if other not in self.seen:
                self.main[other] = self.main.get(other, 0.0) + strength / 10 * sim
                self.fast[other] = self.fast.get(other, 0.0) + strength / 10 * sim
                self.support[other] = self.support.get(other, 0.0) + 1


ITEMS = [f"i{n}" for n in range(8)]
ROWS = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.floats(0.01, 1)), max_size=5, unique_by=lambda row: row[0]
)
TOUCHES = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.integers(1, 10), ROWS), min_size=1, max_size=15
)


def shares(sums: dict[str, float]) -> dict[str, float]:
    return {other: math.sqrt(value / max(sums.values())) for other, value in sums.items()}


@given(
    TOUCHES, st.sampled_from(["c0", "c1", "support"]), st.floats(0.5, 1), st.floats(0.1, 0.9),
    st.sampled_from([DictTable, plain]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sums_fade_with_every_own_event_and_grow_by_grade_times_similarity(
    touches, feature, decay, decay_fast, table
):
    stage = ranked({feature: 1.0}, table, decay=decay, decay_fast=decay_fast)
    sums = Sums(decay, decay_fast)
    for number, (item, strength, rows) in enumerate(touches):
        sums.touch(item, strength, rows)
        rows = [near(*row) for row in rows]
        stage.touch("u", item, *rows, strength=strength, at_ms=number)
        expected = {
            "c0": shares(sums.main),
            "c1": shares(sums.fast),
            "support": {other: math.log(1 + value) for other, value in sums.support.items()},
        }[feature]
        assert stage.scores("u") == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_only_the_largest_sums_are_kept():
    stage = ranked(candidates_max=3)
    stage.touch("u", "x", *(near(f"i{n}", 0.1 * n) for n in range(1, 6)))
    assert list(stage.scores("u")) == ["i5", "i4", "i3"]
    # .9 * .3 = .27 has to make room for .28, and begins anew when it comes back
    stage.touch("u", "y", near("i6", 0.28))
    assert list(stage.scores("u")) == ["i5", "i4", "i6"]
    stage.touch("u", "z", near("i3", 0.26))
    assert "i3" in stage.scores("u")
    largest = 0.5 * 0.81
    assert stage.scores("u")["i3"] == pytest.approx(math.sqrt(0.26 / largest), rel=1e-4)


def test_of_equal_sums_the_earlier_one_is_kept():
    stage = ranked(candidates_max=2)
    stage.touch("u", "x", near("c", 0.5), near("b", 0.5), near("a", 0.5))
    assert list(stage.scores("u")) == ["c", "b"]


def test_what_is_kept_stays_in_the_order_it_came():
    stage = ranked({}, candidates_max=2)
    stage.touch("u", "x", near("a", 0.2), near("b", 0.3), near("c", 0.1))
    assert list(stage.scores("u")) == ["a", "b"]


def test_repeats_do_not_grow_the_state():
    stage = ranked()
    stage.send(*(stage.answer("u", "xy"[n % 2], at_ms=n) for n in range(400)))
    sizes = []
    for _ in range(2):
        sizes.append(sum(len(v) for table in stage.data().values() for v in table.values()))
        stage.send(*(stage.answer("u", "xy"[n % 2], at_ms=n) for n in range(100)))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("table", [DictTable, plain])
def test_items_seen_long_ago_stay_known_over_every_border_of_a_chunk(table):
    stage = ranked(table=table)
    for number in range(300):
        stage.touch("u", f"i{number}")
        if number in (126, 127, 128, 255, 256, 257):
            everything = [near(f"i{n}", 0.5) for n in range(number + 2)]
            stage.touch("u", "probe", *everything)
            assert list(stage.scores("u")) == [f"i{number + 1}"]
    stage.touch("u", "last", near("new", 0.1))
    known = SeenFilter(stage.lists["u"].known)
    assert all(f"i{number}" in known for number in range(300))


def test_an_event_writes_as_much_for_an_old_user_as_for_a_new_one():
    """The filter for readers apart, which grows up to its limit."""
    stage = ranked()

    def live(first: int, last: int) -> None:
        stage.send(*(stage.answer("u", f"i{n}", at_ms=n) for n in range(first, last)))

    def written(item: str) -> int:
        before = stage.data()
        stage.touch("u", item)
        return sum(
            len(value)
            for name, table in stage.data().items()
            for key, value in table.items()
            if before[name].get(key) != value
        )

    live(1000, 1700)
    early = max(written(f"i{n}") for n in range(1700, 1830))
    live(1830, 9000)
    late = max(written(f"i{n}") for n in range(9000, 9130))
    assert late - early <= 4096 - 1024


def test_the_filter_for_readers_knows_all_items_while_it_grows():
    stage = ranked()
    sizes = set()
    stage.send(noted("u", "refused", 1, "hide", stage.seq("u")))
    for number in range(220):
        stage.touch("u", f"i{number}", near(f"n{number}", 0.5))
        known = stage.lists["u"].known
        sizes.add(len(known))
        assert all(f"i{n}" in SeenFilter(known) for n in range(number + 1))
        assert "refused" in SeenFilter(known)
    assert sizes == {64, 128, 256, 512}


def test_the_seed_is_the_own_item_with_the_largest_faded_share():
    stage = ranked()
    stage.touch("u", "x", near("a", 0.4), near("b", 0.2), near("c", 0.3))
    assert [seed(stage, item) for item in "abc"] == ["x", "x", "x"]
    # .4 * .9 = .36 against .8 * .47 = .376; .2 * .9 = .18 against .16; c is not named
    stage.touch("u", "y", near("a", 0.47), near("b", 0.2), strength=8)
    assert [seed(stage, item) for item in "abc"] == ["y", "x", "x"]
    assert dict(stage.lists["u"].seed_items) == {"x": "Title x", "y": "Title y"}


def test_a_small_share_between_does_not_change_the_seed():
    stage = ranked()
    stage.touch("u", "x", near("a", 0.4))
    stage.touch("u", "y", near("a", 0.1))
    stage.touch("u", "z", near("a", 0.3), near("b", 0.1))
    assert seed(stage, "a") == "x"


def test_of_equal_shares_the_newer_item_is_the_seed():
    stage = ranked(decay=1.0)
    stage.touch("u", "x", near("a", 0.5))
    stage.touch("u", "y", near("a", 0.5), near("b", 0.1))
    assert seed(stage, "a") == "y"


def test_a_shared_item_has_no_seed():
    stage = ranked()
    stage.send(popular_list("all_time", ("p", figures("p"))))
    stage.touch("u", "x", near("a", 0.5))
    assert (seed(stage, "a"), seed(stage, "p")) == ("x", None)


def test_a_seed_is_remembered_for_64_events():
    stage = ranked()
    stage.touch("u", "x", near("a", 0.9))
    for number in range(63):
        stage.touch("u", f"i{number}", near(f"n{number}", 0.001))
    assert seed(stage, "a") == "x"
    stage.touch("u", "last", near("n", 0.001))
    assert seed(stage, "a") is None


def test_an_item_shown_counts_as_shown_in_vain_when_the_user_likes_another_one():
    stage = ranked({"exposed": -1.0})
    stage.touch("u", "x", near("a", 0.5), near("b", 0.4))
    assert stage.scores("u") == {"a": 0.0, "b": 0.0}
    stage.touch("u", "y", liked=False)
    assert stage.scores("u") == {"a": 0.0, "b": 0.0}
    stage.touch("u", "z", near("c", 0.3))
    assert stage.scores("u") == {"c": 0.0, "a": pytest.approx(-math.log(2)),
                                 "b": pytest.approx(-math.log(2))}  # fmt: skip
    stage.touch("u", "z", liked=True)
    assert stage.scores("u")["c"] == 0.0
    stage.touch("u", "w")
    assert stage.scores("u") == {"c": pytest.approx(-math.log(2)), "a": pytest.approx(-math.log(3)),
                                 "b": pytest.approx(-math.log(3))}  # fmt: skip


def test_only_the_first_ten_of_a_list_were_shown():
    stage = ranked({"c0": 1.0})
    stage.touch("u", "x", *(near(f"i{n:02}", 1 - n / 100) for n in range(15)))
    stage.stage = Ranking(RankingSettings(list_max=1000), Weights(values={"exposed": 1.0}), OFF)
    stage.touch("u", "y")
    shown = {item for item, score in stage.scores("u").items() if score}
    assert shown == {f"i{n:02}" for n in range(10)}


def test_taste_fades_and_leans_away_from_what_was_rated_low():
    stage = ranked({"genre": 1.0}, taste_decay=0.5)
    rows = near("w", 0.5, categories=["war"]), near("d", 0.4, categories=["drama"])
    stage.touch("u", "x", *rows, categories=["war"], strength=9)  # war 4
    assert stage.scores("u") == pytest.approx({"w": 2.0, "d": 0.0})
    stage.touch("u", "y", categories=["drama"], strength=2)  # war 2, drama -3
    length = math.hypot(2, 3)
    assert stage.scores("u") == pytest.approx({"w": 4 / length, "d": -6 / length}, rel=1e-5)
    stage.touch("u", "z", categories=["drama"], strength=10)  # war 1, drama 3.5
    length = math.hypot(1, 3.5)
    assert stage.scores("u") == pytest.approx({"w": 2 / length, "d": 7 / length}, rel=1e-5)


def test_of_many_tastes_the_weakest_is_given_up():
    stage = ranked({"genre": 1.0}, taste_decay=1.0)
    stage.touch("u", "x", near("w", 0.5, categories=["weak"]), near("s", 0.5, categories=["c0"]),
                categories=["weak"], strength=6)  # fmt: skip
    for number in range(63):
        stage.touch("u", f"i{number}", categories=[f"c{number}"])
    assert stage.scores("u")["w"] > 0
    stage.touch("u", "last", categories=["one more"])
    assert stage.scores("u")["w"] == 0
    assert stage.scores("u")["s"] > 0


def test_what_only_its_content_speaks_for_is_not_crowded_out_by_what_many_people_do():
    count, limit = 250, 200
    rows = np.zeros((count, COLUMNS), np.float32)
    rows[:, MAIN], rows[:, INTEREST] = 1 + np.arange(count) / count, 1
    rows[:20, MAIN], rows[:20, CONTENT] = 0, 0.01 + np.arange(20) / 1000
    kept = best_places(rows, count, limit, 10).tolist()
    assert len(kept) == limit
    assert [place for place in kept if place < 20] == list(range(10, 20))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))), st.integers(1, 8))
def test_of_equal_rows_the_first_are_kept(sums, limit):
    rows = np.zeros((len(sums), COLUMNS), np.float32)
    rows[:, [MAIN, CONTENT]] = np.array(sums, np.float32).reshape(-1, 2)
    best = sorted(range(len(sums)), key=lambda place: (-sum(sums[place]), place))[:limit]
    assert best_places(rows, len(rows), limit, 0).tolist() == sorted(best)


def test_rows_of_as_many_are_written_where_they_were():
    rows = [near(one, 0.1 * n) for n, one in enumerate("abcd", 1)]
    user, settings = RankedUser(), RankingSettings(candidates_max=2)
    for number, part in enumerate((rows[:2], rows[2:])):
        before = user.rows
        one = counted(signal("u", f"i{number}", number, event_id=f"e{number}"))
        absorb(user, pulled(one, *part), NO_KEYS, NO_KEYS, settings)
        assert (user.rows is before) == (number == 1)
    assert split(as_text(user.ids)) == ["c", "d"]


KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3).map(lambda n: n << 40), unique=True)


@given(KEYS, st.data())
def test_an_index_finds_what_a_search_finds(known, data):
    keys = np.array(known, np.uint64)
    count = data.draw(st.integers(0, len(keys)))
    index = index_of(keys, count)
    for key in [*known, 0, 2**40]:
        wanted = np.uint64(key)
        assert find_in(index, keys, wanted) == place_of(keys, count, wanted)
