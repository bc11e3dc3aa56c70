"""What is idle is forgotten, what is hot is bounded: state does not grow with the job's age."""

import pytest

from operators import expiry
from operators.admission import Admission
from operators.expiry import Wheel
from operators.figures import Figures
from operators.history import LOG_MAX, History
from operators.messages import Expired, ItemExpired, Learn, Listed
from operators.neighbours import Neighbours
from operators.packing import EPOCH_MS
from operators.parameters import (
    AdmissionSettings,
    FiguresSettings,
    HistorySettings,
    NeighboursSettings,
)
from operators.results import ForgetRow, ListRow, SimilarRow
from operators.stage import DictTable, StructCodec
from operators.strengths import Strengths
from tests.builders import erase, event, listing
from tests.driven import Driven, counted, counts, figures, learn, pair_seen, sent, signal
from tests.graph import Graph

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def size_of(graph: Graph) -> tuple[int, int]:
    """Keys and bytes of all tables of all stages."""
    tables = [table for state in graph.state.values() for table in vars(state).values()]
    values = [(key, value) for table in tables for key, value in table.data.items()]
    return len(values), sum(len(key) + len(value) for key, value in values)


def ever_new(days: range) -> list:
    """Each day five users nobody has seen before like three items nobody has seen before."""
    made = []
    for day in days:
        for number in range(5):
            for place in range(3):
                at_ms = EPOCH_MS + day * DAY_MS + number * HOUR_MS + place
                item = f"i{day}-{(number + place) % 6}"
                made.append(event(f"u{day}-{number}", item, at_ms, "like", event_id=f"e{at_ms}"))
    return made


def short_lived() -> Graph:
    return Graph(
        admission=AdmissionSettings(user_idle_ms=20 * DAY_MS),
        figures=FiguresSettings(item_idle_ms=20 * DAY_MS),
    )


def test_a_soak_of_ever_new_users_and_items_is_bounded():
    graph, sizes = short_lived(), []
    for month in range(4):
        for record in ever_new(range(30 * month, 30 * month + 30)):
            graph.run([record])
        graph.settle()
        sizes.append(size_of(graph))
    keys, volume = zip(*sizes[1:], strict=True)
    assert max(keys) <= 1.05 * keys[0]
    assert max(volume) <= 1.05 * volume[0]
    endless = Graph()
    for record in ever_new(range(80)):
        endless.run([record])
    assert size_of(endless)[0] > 1.5 * max(keys)


def test_nothing_of_an_idle_user_is_left_but_what_others_learned():
    graph = short_lived()
    first, later = ever_new(range(1)), ever_new(range(60, 70))
    for record in first:
        graph.run([record])
    taught = len(list(graph.state["neighbours"].pair.items()))
    assert taught > 0
    rows = [out.message for record in later for out in graph.run([record])["rows"]]
    gone = {row.user for row in rows if isinstance(row, ForgetRow)}
    assert gone == {f"u0-{number}" for number in range(5)}
    for name in ("admission", "history", "ranking"):
        held = [key for table in vars(graph.state[name]).values() for key in table.data]
        assert not [key for key in held if "u0-" in key], name


def test_a_user_who_comes_back_at_the_very_moment_of_being_forgotten_begins_anew():
    graph = short_lived()
    graph.run([event("u", "a", EPOCH_MS, "like", event_id="e1")])
    back_ms = EPOCH_MS + 40 * DAY_MS
    graph.run([event("u", "b", back_ms, "like", event_id="e2")])
    key = "default\x1fu"
    assert graph.state["history"].user.get(key).items == ["b"]
    assert graph.state["ranking"].user.get(key).counts == {"like": 1}
    assert graph.state["admission"].user.get(key).items == 1


def test_a_user_who_stays_is_not_forgotten_and_is_noted_now_and_then_only():
    stage = Driven(Admission(AdmissionSettings(user_idle_ms=20 * DAY_MS), Strengths()))
    for hour in range(24 * 60):
        at_ms = EPOCH_MS + hour * HOUR_MS
        outs = stage.send(event("u", f"i{hour % 5}", at_ms, "view", event_id=f"e{hour}"))
        assert not [out for out in outs if isinstance(out.message, Expired)]
    notes = sum(len(chunk) for _, chunk in stage.state.due.items())
    assert notes <= expiry.GRAINS + 2


def test_a_session_without_consent_leaves_nothing_behind():
    graph = Graph(admission=AdmissionSettings(session_idle_ms=HOUR_MS))
    shy = {"session_id": "s1", "consent": False}
    graph.run([event("named", "a", EPOCH_MS, "like", event_id="e1", **shy)])
    states = [table for state in graph.state.values() for table in vars(state).values()]
    assert not [key for table in states for key in table.data if "named" in key]
    assert graph.state["ranking"].user.get("default\x1fs1") is not None
    rows = graph.run([event("v", "b", EPOCH_MS + 3 * HOUR_MS, "like", event_id="e2")])["rows"]
    assert ("s1",) in {(out.message.user,) for out in rows if isinstance(out.message, ForgetRow)}
    assert not [key for table in states for key in table.data if "s1" in key]


def test_a_user_of_too_many_items_teaches_nothing_more_and_is_erased_exactly():
    settings = AdmissionSettings(items_max=5)
    graph, calm = Graph(admission=settings), Graph(admission=settings)
    for number in range(40):
        record = event("robot", f"i{number}", EPOCH_MS + number, "like", event_id=f"e{number}")
        graph.run([record])
    assert graph.state["admission"].user.get("default\x1frobot").items == 5
    raws = [one.raw for _, one in graph.state["figures"].item.items()]
    assert sum(raw > 0 for raw in raws) == 5
    graph.run([erase("robot", EPOCH_MS + 100)])
    calm.run([erase("robot", EPOCH_MS + 100)])
    assert [one.raw for _, one in graph.state["figures"].item.items() if one.raw] == []
    for name in ("item", "pair"):
        left = getattr(graph.state["neighbours"], name).data
        assert left == getattr(calm.state["neighbours"], name).data


def test_a_full_log_still_asks_for_neighbours_and_teaches_nothing():
    stage = Driven(History(HistorySettings(), 1))
    user = stage.state.user
    stage.send(counted(signal("u", "a", 1, seq=1)))
    full = user.get("default\x1fu")
    full.logged = LOG_MAX
    user.put("default\x1fu", full)
    outs = stage.send(counted(signal("u", "b", 2, seq=2)))
    (asked,) = sent(outs, "neighbours")
    assert isinstance(asked, Learn)
    assert (asked.increase, asked.others, asked.records) == (0, [], b"")
    assert counts(outs) == {"heavy_users": 1}


def test_an_idle_item_leaves_with_its_pairs_and_its_row_unless_the_catalogue_holds_it():
    graph = short_lived()
    graph.run([listing("kept", EPOCH_MS), listing("dropped", EPOCH_MS)])
    for user in "uv":
        for place, item in enumerate(("kept", "dropped", "unlisted")):
            at_ms = EPOCH_MS + place
            graph.run([event(user, item, at_ms, "like", event_id=f"{user}{item}")])
    graph.settle()
    graph.state["figures"].item.put(
        "default\x1fdropped", deleted_now(graph.state["figures"].item.get("default\x1fdropped"))
    )
    for record in ever_new(range(70, 74)):
        graph.run([record])
    known = {key.partition("\x1f")[2] for key in graph.state["figures"].item.data}
    assert "kept" in known
    assert not {"dropped", "unlisted"} & known
    owners = {key.partition("\x1f")[2] for key in graph.state["neighbours"].item.data}
    assert "kept" in owners
    assert not {"dropped", "unlisted"} & owners
    gone = [row for row in graph.settle() if isinstance(row, SimilarRow) and not row.ids]
    assert {row.item for row in gone} >= {"dropped", "unlisted"}


def deleted_now(one):
    one.deleted = True
    return one


def gone(item: str, at_ms: int) -> Listed:
    """The catalogue deletes an item."""
    return Listed(at_ms, f"\x01{item}", "default", item, "", [], False, True)


def churn(weeks: range) -> list:
    """A catalogue that is new every week: items come, are liked, and are deleted in a fortnight.

    A few users stay; one of them is there for a week in half a year. What stays in the catalogue is
    liked beside it, so that old pairs are asked for again.
    """
    made = []
    for week in weeks:
        start_ms = EPOCH_MS + 7 * week * DAY_MS
        items = [f"i{week}-{number}" for number in range(3)]
        made += [listing(item, start_ms) for item in items]
        users = [f"u{number}" for number in range(4)] + (["rare"] if week % 26 == 0 else [])
        for place, item in enumerate([*items, "stays"]):
            for number, user in enumerate(users):
                if (place + number + week) % 3 == 0 and item != "stays":
                    continue
                at_ms = start_ms + (1 + place) * DAY_MS + number
                made.append(event(user, item, at_ms, "like", event_id=f"e{at_ms}"))
        made += [gone(f"i{week - 2}-{number}", start_ms + 6 * DAY_MS) for number in range(3)]
    return made


def test_a_catalogue_that_is_ever_new_leaves_no_keys_and_no_item_comes_back():
    graph, sizes, deleted = Graph(figures=FiguresSettings(item_idle_ms=90 * DAY_MS)), [], set()
    shown = set()
    for record in churn(range(80)):
        if isinstance(record, Listed):
            deleted.add(record.item)
        rows = [out.message for out in graph.run([record])["rows"]]
        listed = {one for row in rows if isinstance(row, ListRow) for one in row.ids}
        assert not deleted & listed
        shown |= listed
        sizes.append(len(graph.state["ranking"].unavailable.get("default") or b""))
    assert len(shown) > 150
    assert max(sizes) <= 1.05 * max(sizes[: len(sizes) // 3])
    assert len(deleted) == 240


def test_an_item_that_was_forgotten_may_come_back():
    graph = Graph(figures=FiguresSettings(item_idle_ms=90 * DAY_MS))
    for record in churn(range(40)):
        graph.run([record])
    at_ms = EPOCH_MS + 300 * DAY_MS
    graph.run([listing("i0-0", at_ms)])
    for place, user in enumerate(("u0", "u1", "u2")):
        for item in ("i0-0", "new"):
            graph.run([event(user, item, at_ms + 10 + place, "like", event_id=f"{user}{item}")])
    rows = graph.run([event("other", "new", at_ms + 99, "like", event_id="o")])["rows"]
    (row,) = [out.message for out in rows if isinstance(out.message, ListRow)]
    assert "i0-0" in row.ids


def test_the_pairs_of_a_hot_item_are_bounded_and_the_strong_ones_stay():
    stage = Driven(Neighbours(NeighboursSettings(pairs_max=30)))
    stage.send(learn(counted(signal("u", "hot", 1)), 10))
    for number in range(500):
        strength = 900 if number < 5 else 100
        other = f"i{number}"
        stage.send(
            pair_seen("hot", other, strength, 0, 0, figured=figures(other), at_ms=2 + number)
        )
    head = stage.state.item.get("default\x1fhot")
    assert head.pairs <= 31
    assert head.pairs == sum(len(segment.ids) for _, segment in stage.state.pair.items())
    ids = {one for _, segment in stage.state.pair.items() for one in segment.ids}
    assert {f"i{number}" for number in range(5)} <= ids
    assert len(head.ids) <= head.pairs


def test_an_expired_item_may_be_told_so_twice():
    stage = Driven(Neighbours(NeighboursSettings()))
    stage.send(learn(counted(signal("u", "a", 1)), 10, ("b", 1000, 1000, figures("b"))))
    gone = ItemExpired(9, "x", "default", "a")
    stage.send(gone)
    assert not stage.state.item.data
    assert not stage.state.pair.data
    assert stage.send(gone) == []


@pytest.mark.parametrize("idle_ms", [1, 15, 1600, 400 * DAY_MS])
def test_a_key_falls_due_after_its_time_and_not_much_later(idle_ms):
    for last_ms in (0, 1, 999, EPOCH_MS):
        at_ms = expiry.due_ms(last_ms, idle_ms, -1)
        assert last_ms + idle_ms <= at_ms < last_ms + idle_ms + max(1, idle_ms // expiry.GRAINS)


def test_each_message_looks_at_few_notes_whatever_there_is():
    due, wheel = DictTable(StructCodec(list[str])), Wheel()
    for number in range(1000):
        expiry.note(due, wheel, f"k{number}", 100 + number % 3)
    assert not expiry.advance(wheel, -1)
    assert expiry.advance(wheel, 10_000)
    found = []
    while batch := expiry.overdue(due, wheel):
        assert len(batch) <= expiry.SWEEP
        found += batch
    assert sorted(key for key, _ in found) == sorted(f"k{number}" for number in range(1000))
    assert due.data == {}
    assert wheel.filled == {}


def test_figures_that_expired_are_not_taken_back_into_being():
    stage = Driven(Figures(FiguresSettings(item_idle_ms=DAY_MS)))
    stage.send(signal("u", "i", EPOCH_MS))
    stage.send(signal("v", "j", EPOCH_MS + 9 * DAY_MS))
    assert set(stage.state.item.data) == {"default\x1fj"}
