"""The list's row: when it is written, what it says, settings, refusals, erasure, profiles."""

import pytest

from operators.features import Weights
from operators.messages import Pulled
from operators.parameters import LearningSettings, RankingSettings
from operators.ranking import Ranking
from operators.results import ForgetRow, ListRow, ProfileRow
from operators.seen import SeenFilter
from operators.stage import DictTable
from tests.driven import (
    Ranked,
    counted,
    counts,
    figures,
    forget,
    near,
    noted,
    plain,
    popular_list,
    sent,
    signal,
    user_changed,
)


def ranking(table=DictTable) -> Ranked:
    return Ranked(Ranking(RankingSettings(), Weights(), LearningSettings()), table)


def test_a_row_goes_to_its_user_with_scores_sources_and_seeds():
    stage = ranking()
    stage.send(popular_list("all_time", ("p", figures("p"))))
    outs = stage.touch("u", "x", near("a", 0.4), near("b", 0.1), at_ms=7)
    (out,) = (out for out in outs if out.to == "rows")
    assert (out.to, out.key) == ("rows", "default\x1fu")
    row = out.message
    assert isinstance(row, ListRow)
    assert (row.tenant, row.user, row.ids) == ("default", "u", ["a", "b", "p"])
    assert stage.scores("u") == pytest.approx({"a": 4.0, "b": 2.0, "p": 0.0})
    assert (list(row.sources), list(row.seeds)) == ([0, 0, 2], [0, 0, 255])
    assert (row.seed_items, row.fallback) == ([("x", "Title x")], "")
    assert (row.written_us, row.generation) == (7000, 1)
    assert "x" in SeenFilter(row.known)


def test_a_list_without_neighbours_says_why_and_holds_what_is_popular():
    stage = ranking()
    stage.send(popular_list("all_time", ("p", figures("p"))))
    stage.touch("u", "x")
    row = stage.lists["u"]
    assert row.ids == ["p"]
    assert "nothing is known yet" in row.fallback


def test_a_list_that_does_not_change_is_not_written_again():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    assert sent(stage.touch("u", "x"), "rows") == []
    assert stage.send(noted("u", "", 1001, "search", stage.seq("u"))) == []
    assert len(sent(stage.touch("u", "x", near("b", 0.1)), "rows")) == 1
    assert stage.lists["u"].generation == 2


def test_a_stored_row_knows_the_last_item_of_its_user():
    """A reader adds what is popular to it, and must not add this item."""
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    stage.touch("u", "p")
    assert "p" in SeenFilter(stage.lists["u"].known)


def test_many_events_of_a_user_in_one_batch_give_one_row():
    stage = ranking()
    batch = [stage.answer("u", f"x{n}", near("a", 0.1), at_ms=100 + n) for n in range(5)]
    (row,) = sent(stage.send(*batch), "rows")
    assert row.written_us == 104_000
    assert row.generation == 1


def test_a_row_is_always_later_than_the_one_before_it():
    stage = ranking()
    times = []
    for number, at_ms in enumerate((9, 9, 3, 12)):
        stage.touch("u", f"x{number}", near(f"a{number}", 0.5), at_ms=at_ms)
        times.append(stage.lists["u"].written_us)
    assert times == [9000, 9001, 9002, 12_000]


def test_a_refused_item_leaves_the_list_and_does_not_come_back():
    stage = ranking()
    stage.send(popular_list("all_time", ("p", figures("p")), ("q", figures("q"))))
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1))
    for item in ("a", "p"):
        stage.send(noted("u", item, 2000, "hide", stage.seq("u")))
    assert stage.lists["u"].ids == ["b", "q"]
    stage.touch("u", "y", near("a", 0.9))
    assert stage.lists["u"].ids == ["b", "q"]
    assert {"a", "p"} <= {item for item in "apbq" if item in SeenFilter(stage.lists["u"].known)}


def test_a_vote_or_a_search_refuses_nothing():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    stage.send(noted("u", "a", 2000, "satisfaction", stage.seq("u")))
    stage.send(noted("u", "", 2001, "search", stage.seq("u")))
    stage.touch("u", "y", near("b", 0.1))
    assert set(stage.lists["u"].ids) == {"a", "b"}


@pytest.mark.parametrize("table", [DictTable, plain])
def test_who_switches_personalisation_off_has_an_empty_row_until_it_is_on_again(table):
    stage = ranking(table)
    stage.touch("u", "x", near("a", 0.4))
    stage.send(user_changed("u", 2000, stage.seq("u"), personalise=False))
    row = stage.lists["u"]
    assert (row.ids, row.scores, row.sources, row.seed_items, row.known) == ([], b"", b"", [], b"")
    assert (row.generation, row.fallback) == (2, "this user has switched personalisation off")
    assert sent(stage.touch("u", "y", near("b", 0.1), at_ms=2500), "rows") == []
    stage.send(user_changed("u", 3000, stage.seq("u")))
    row = stage.lists["u"]
    assert (row.ids, row.fallback, row.generation) == (["a", "b"], "", 3)


def test_no_profile_is_read_for_a_user_who_has_switched_personalisation_off(monkeypatch):
    stage = ranking()
    for user in "uv":
        stage.touch(user, f"x{user}", near("a", 0.4))
        stage.send(user_changed(user, 2000, stage.seq(user), personalise=False))

    def read(*_, **__):
        pytest.fail("the candidates of a user who wants none were looked at")

    monkeypatch.setattr("operators.ranking.score", read)
    monkeypatch.setattr(Ranking, "_candidates", read)
    stage.touch("u", "y", near("b", 0.1), at_ms=2500)
    stage.send(noted("v", "z", 2600, seq=stage.seq("v")))
    rows = [stage.lists[user] for user in "uv"]
    assert [(row.ids, row.known, row.fallback) for row in rows] == [
        ([], b"", "this user has switched personalisation off")
    ] * 2


def test_of_two_settings_of_a_user_the_newer_one_counts():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    stage.send(user_changed("u", 2000, stage.seq("u"), personalise=False))
    stage.send(user_changed("u", 1500, stage.seq("u"), personalise=True))
    assert stage.lists["u"].ids == []


def test_an_erasure_deletes_the_rows_and_all_that_is_known():
    stage = ranking()
    for number in range(140):
        stage.touch("u", f"item-{number}", near(f"near-{number}", 0.5))
    before_us = stage.lists["u"].written_us
    outs = stage.send(forget("u", 1000, stage.seq("u")))
    (row,) = sent(outs, "rows")
    assert row == ForgetRow(before_us + 1, "default", "u")
    assert not stage.mentions("item-")
    assert not stage.mentions("near-")
    # the number of the last message, and that only
    assert sum(len(table) for table in stage.data().values()) == 1
    assert stage.settle() == []


def test_a_new_life_after_an_erasure_begins_with_nothing_and_is_later():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    stage.touch("u", "y", near("b", 0.1))
    stage.send(forget("u", 9, stage.seq("u")))
    forgotten_us = 1_000_002  # two lists at 1000 ms, and one later
    stage.touch("u", "z", near("x", 0.4), near("y", 0.2), at_ms=8)
    row = stage.lists["u"]
    assert (row.ids, row.generation) == (["x", "y"], 1)
    assert row.written_us == forgotten_us + 1


def test_a_straggler_of_an_erased_user_is_dropped():
    stage = ranking()
    late = stage.answer("u", "x", near("a", 0.4))
    stage.send(forget("u", 2000, stage.seq("u")))
    before = stage.data()
    assert counts(stage.send(late)) == {"after_erasure": 1}
    assert stage.data() == before
    assert stage.lists == {}


def test_an_erasure_that_comes_twice_counts_once():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    gone = forget("u", 2000, stage.seq("u"))
    assert len(sent(stage.send(gone), "rows")) == 1
    assert counts(stage.send(gone)) == {"after_erasure": 1}


def test_events_and_an_erasure_in_one_batch_leave_only_what_came_after():
    stage = ranking()
    batch = [
        stage.answer("u", "x", near("a", 0.4), at_ms=1),
        forget("u", 2, stage.seq("u")),
        stage.answer("u", "y", near("x", 0.4), at_ms=3),
    ]
    outs = stage.send(*batch)
    gone, made = sent(outs, "rows")
    assert isinstance(gone, ForgetRow)
    assert made.ids == ["x"]
    assert made.written_us > gone.written_us


def test_an_erasure_at_the_end_of_a_batch_leaves_no_list():
    stage = ranking()
    outs = stage.send(stage.answer("u", "x", near("a", 0.4), at_ms=1),
                      forget("u", 2, stage.seq("u")))  # fmt: skip
    assert [type(row) for row in sent(outs, "rows")] == [ForgetRow]
    assert stage.settle() == []


def profiles(stage: Ranked) -> dict[str, ProfileRow]:
    rows = sent(stage.settle(), "rows")
    assert all(isinstance(row, ProfileRow) for row in rows)
    return {row.user: row for row in rows}


def test_a_profile_is_held_back_and_counts_actions_and_names_the_last_items():
    stage = ranking()
    for item in ("x", "y", "x"):
        stage.touch("u", item, action="click")
    stage.touch("u", "z", action="like", at_ms=4000)
    stage.send(noted("u", "h", 5000, "hide", stage.seq("u")))
    stage.send(noted("u", "", 6000, "search", stage.seq("u")))
    row = profiles(stage)["u"]
    assert row.counts == {"click": 3, "like": 1, "hide": 1, "search": 1}
    assert row.recent == ["z", "x", "y"]
    assert row.written_us == 6_000_000
    assert profiles(stage) == {}
    stage.touch("v", "x")
    assert list(profiles(stage)) == ["v"]


def test_a_profile_names_twenty_items():
    stage = ranking()
    for number in range(30):
        stage.touch("u", f"i{number}")
    assert profiles(stage)["u"].recent == [f"i{number}" for number in range(29, 9, -1)]


def test_shared_lists_alone_write_no_row():
    stage = ranking()
    assert stage.send(popular_list("all_time", ("p", figures("p")))) == []


def test_a_shared_list_counts_for_the_whole_batch_it_comes_in():
    stage = ranking()
    late = popular_list("all_time", ("p", figures("p")), at_ms=9000)
    stage.send(stage.answer("u", "x", at_ms=1000), late)
    assert stage.lists["u"].ids == ["p"]


def test_users_of_two_tenants_share_nothing():
    stage = ranking()
    stage.send(popular_list("all_time", ("p", figures("p"))))
    one = counted(signal("u", "x", tenant="shop"))
    outs = stage.send(Pulled(one.time_ms, one.event_id, one, [], b""))
    assert {out.key for out in outs if out.to in ("rows", "outcomes")} == {"shop\x1fu"}
    assert [row.ids for row in sent(outs, "rows")] == [[]]
    assert [outcome.shown for outcome in sent(outs, "outcomes")] == [[]]


def test_without_rows_the_same_lists_are_judged() -> None:
    read, unread = (Ranked(Ranking(RankingSettings(rows=rows), Weights(), LearningSettings()))
                    for rows in (True, False))  # fmt: skip
    for one in (read, unread):
        one.touch("u", "a", ("b", 1.0, 1.0, figures("b")), ("c", 0.5, 0.5, figures("c")))
    like = read.answer("u", "c")
    outs = [one.send(like) for one in (read, unread)]
    judged = [sent(one, "outcomes") for one in outs]
    assert judged[0] == judged[1]
    assert judged[0][0].rank == 2
    assert sent(outs[0], "rows")
    assert not sent(outs[1], "rows")
