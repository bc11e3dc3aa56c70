"""Who gets in: duplicates, consent, sessions, segments, negative actions, erasure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.admission import Admission
from operators.events import Impression, Interaction, Preferences, Shown
from operators.messages import Forget, Noted, Signal, UserChanged, Withdrawn
from operators.packing import item_key
from operators.parameters import AdmissionSettings
from operators.stage import Out
from operators.strengths import Strengths
from tests.builders import erase, event, rated, user_update
from tests.driven import Driven, counts, sent

HOUR_MS = 3_600_000


def admission(**settings) -> Driven:
    return Driven(Admission(AdmissionSettings(**settings), Strengths()))


def signals(outs: list[Out]) -> list[Signal]:
    return sent(outs, "figures")


def one_signal(stage: Driven, one: Interaction) -> Signal:
    (out,) = stage.send(one)
    assert isinstance(out.message, Signal)
    return out.message


STEPS = [
    # action, value, then strength, old, first, liked
    ("view", None, 4, 0, True, True),
    ("view", None, 4, 4, False, False),
    ("purchase", 9.5, 10, 4, False, False),
    ("rating", 3.0, 6, 10, False, False),
    ("rating", 5.0, 10, 10, False, False),
]
SLOW_STEPS = [
    ("dwell", 0, 0, 0, True, False),
    ("rating", 3.0, 6, 0, False, False),
    ("rating", 2.0, 4, 6, False, False),
    ("click", None, 5, 6, False, True),
    ("rating", 4.0, 8, 6, False, False),
]


@pytest.mark.parametrize("steps", [STEPS, SLOW_STEPS])
def test_a_strength_is_a_maximum_and_a_like_counts_once(steps):
    stage = admission()
    for number, (action, value, *expected) in enumerate(steps, start=1):
        got = one_signal(stage, event("u", "i", number, action, value=value))
        assert [got.strength, got.old, got.first, got.liked] == expected, number
        assert (got.user, got.item, got.action, got.seq) == ("u", "i", action, number)


def test_a_signal_goes_to_its_item_inside_its_tenant():
    one = event("u", "i", 7, tenant="shop", event_id="e")
    (out,) = admission().send(one)
    assert (out.to, out.key) == ("figures", "shop\x1fi")
    assert out.message == Signal(7, "e", "shop", "u", 1, "i", "like", 8, 0, True, True, "")


def test_users_and_tenants_are_counted_apart():
    stage = admission()
    outs = stage.send(event("u", "i", 1), event("v", "i", 2), event("u", "i", 3, tenant="shop"))
    assert [(one.first, one.seq) for one in signals(outs)] == [(True, 1)] * 3


def test_a_repeated_event_id_of_a_user_counts_once():
    stage = admission()
    first = stage.send(event("u", "i", 1, event_id="e"), event("u", "j", 1, event_id="e"))
    assert len(signals(first)) == 1
    assert counts(first) == {"duplicates": 1}
    assert counts(stage.send(event("u", "i", 1, event_id="e"))) == {"duplicates": 1}
    assert len(signals(stage.send(event("v", "i", 1, event_id="e")))) == 1
    assert len(signals(stage.send(event("u", "i", 1, event_id="e", tenant="shop")))) == 1
    assert one_signal(stage, event("u", "i", 2, event_id="f")).seq == 2


@given(st.integers(0, 10**6), st.integers(0, 3500), st.booleans(), st.booleans())
def test_a_duplicate_is_found_for_one_span_and_forgotten_after_two(at_ms, gap_ms, late, quiet):
    """`late`: it still has its old time, only others have gone on."""
    stage = admission(duplicate_ms=1000)
    stage.send(event("u", "i", at_ms, event_id="e"))
    if not quiet or late:
        for passed_ms in range(0, gap_ms + 1, 250):
            stage.send(event("v", "i", at_ms + passed_ms))
        stage.send(event("v", "i", at_ms + gap_ms))
    outs = stage.send(event("u", "i", at_ms if late else at_ms + gap_ms, event_id="e"))
    if gap_ms <= 1000:
        assert counts(outs) == {"duplicates": 1}
    elif gap_ms >= 2000:
        assert len(signals(outs)) == 1


def test_old_event_ids_leave_the_state():
    stage = admission(duplicate_ms=1000)
    for number in range(50):
        stage.send(event("u", "i", 1000 * number, event_id=f"id-{number:02}"))
    kept = [number for number in range(50) if stage.mentions(f"id-{number:02}")]
    assert kept == [48, 49]


def test_event_ids_leave_the_state_also_after_the_span_was_made_longer():
    short, long = admission(duplicate_ms=1000), admission(duplicate_ms=2000)
    short.send(event("u", "i", 10**9, event_id="id-before"))
    long.state = short.state
    for number in range(10):
        long.send(event("u", "i", 10**9 + 2000 * number, event_id=f"id-{number}"))
    assert not long.mentions("id-before")


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"user_id": "u", "session_id": "s"}, "u"),
        ({"user_id": "u", "session_id": "s", "consent": False}, "s"),
        ({"session_id": "s"}, "s"),
        ({"session_id": "s", "consent": False}, "s"),
        ({"user_id": "u", "consent": False}, None),
    ],
)
@pytest.mark.parametrize("action", ["like", "hide"])
def test_without_consent_an_event_is_the_sessions_or_nobodys(fields, subject, action):
    stage = admission()
    outs = stage.send(Interaction(event_id="e", event_time=1, item_id="i", action=action, **fields))
    if subject is None:
        assert counts(outs) == {"without_consent": 1}
        assert len(outs) == 1
        assert not any(stage.data().values())
    else:
        assert [out.message.user for out in outs] == [subject]


@pytest.mark.parametrize("action", ["dislike", "hide", "report", "unfollow"])
def test_a_negative_action_reaches_the_ranking_and_no_counter(action):
    stage = admission()
    outs = stage.send(event("u", "item-5", 5, action, event_id="e"))
    message = Noted(5, "e", "default", "u", 1, action, "item-5", item_key("item-5"), True)
    assert outs == [Out("ranking", "default\x1fu", message)]
    assert not stage.mentions("item-5")
    later = one_signal(stage, event("u", "item-5", 6))
    assert (later.first, later.old, later.seq) == (True, 0, 2)


@pytest.mark.parametrize(
    ("action", "item", "fields"),
    [
        ("search", None, {"text": "jazz"}),
        ("satisfaction", None, {"value": 4}),
        ("satisfaction", "i", {"value": 4}),
        ("search", "i", {"text": "jazz"}),
    ],
)  # fmt: skip
def test_a_search_and_a_vote_are_noted_only(action, item, fields):
    outs = admission().send(event("u", item, 5, action, **fields))
    assert [out.to for out in outs] == ["ranking"]
    assert (outs[0].message.item, outs[0].message.negative) == (item or "", False)


def test_an_impression_is_counted_and_no_more():
    shown = Impression(event_id="e", event_time=1, impression_id="p", surface="home", user_id="u",
                       items=[Shown(item_id="i", position=0)])  # fmt: skip
    assert admission().send(shown) == [Out("count", "impressions", 1)]


def test_a_users_settings_go_to_the_ranking():
    update = user_update("u", 5, event_id="e", personalise=False,
                         preferences=Preferences(blocked_categories=["war"]))  # fmt: skip
    message = UserChanged(5, "e", "default", "u", 1, False, ["war"])
    assert admission().send(update) == [Out("ranking", "default\x1fu", message)]


def test_the_segment_is_the_users_attribute_or_else_the_events_context():
    stage = admission()

    def segment(at_ms: int, **context) -> str:
        return one_signal(stage, event("u", f"i{at_ms}", at_ms, context=context or None)).segment

    assert segment(1) == ""
    assert segment(2, country="NZ") == "NZ"
    assert segment(3, country=None, device="phone") == ""
    stage.send(user_update("u", 4, attributes={"country": "FR"}))
    assert segment(5, country="NZ") == "FR"
    assert segment(6) == "FR"
    stage.send(user_update("u", 7, attributes={"country": None}))
    assert segment(8, country="NZ") == "NZ"
    assert one_signal(stage, event("v", "i", 9)).segment == ""


def test_a_segment_can_be_made_of_several_parts_and_of_the_hour():
    stage = admission(segment_by="country+device+hour")
    full = {"country": "NZ", "device": "tv"}
    assert one_signal(stage, event("u", "i", 7 * HOUR_MS, context=full)).segment == "NZ+tv+06-12"
    late = event("u", "j", 47 * HOUR_MS, context=full)
    assert one_signal(stage, late).segment == "NZ+tv+18-24"
    part = event("u", "k", 48 * HOUR_MS, context={"country": "NZ"})
    assert one_signal(stage, part).segment == ""
    stage.send(user_update("u", 49 * HOUR_MS, attributes=full))
    again = event("u", "l", 50 * HOUR_MS, context=full)
    assert one_signal(stage, again).segment == "NZ+tv+00-06"


def test_another_attribute_can_name_the_segment():
    stage = admission(segment_by="age_group")
    stage.send(user_update("u", 1, attributes={"age_group": 30, "country": "FR"}))
    assert one_signal(stage, event("u", "i", 2)).segment == "30"


def test_of_two_records_of_a_user_the_newer_one_counts():
    stage = admission()
    stage.send(user_update("u", 2000, attributes={"country": "NZ"}))
    stage.send(user_update("u", 1000, attributes={"country": "FR"}))
    assert one_signal(stage, event("u", "i", 3000)).segment == "NZ"


def test_an_erasure_takes_back_what_each_item_got_where_it_got_it():
    stage = admission()
    stage.send(
        event("u", "liked", 1000, "click", context={"country": "NZ"}),
        event("u", "liked", 2000, "purchase", context={"country": "FR"}),
        rated("u", "seen", 3.0, 3000, context={"country": "NZ"}),
        rated("u", "later", 1.0, 3500, context={"country": "NZ"}),
        event("u", "later", 4000, "like", context={"country": "FR"}),
        event("u", "refused", 4500, "hide"),
        event("v", "liked", 4600),
    )
    outs = stage.send(erase("u", 5000, event_id="x"))
    assert [(out.key, out.message) for out in outs[:3]] == [
        ("default\x1fliked", Withdrawn(5000, "x#0", "default", "liked", 10, 1000, "NZ")),
        ("default\x1fseen", Withdrawn(5000, "x#1", "default", "seen", 6, None, "NZ")),
        ("default\x1flater", Withdrawn(5000, "x#2", "default", "later", 8, 4000, "FR")),
    ]
    forget = Forget(5000, "x", "default", "u", 7)
    assert outs[3:] == [
        Out("history", "default\x1fu", forget), Out("ranking", "default\x1fu", forget)
    ]  # fmt: skip
    assert [stage.mentions(item) for item in ("seen", "later", "liked")] == [False, False, True]


def test_an_erasure_of_many_items_names_each_once_and_no_two_alike():
    stage = admission()
    for number in range(300):
        stage.send(event("u", f"i{number % 150}", number, event_id=f"e{number}"))
    outs = stage.send(erase("u", 1000))
    withdrawn = sent(outs, "figures")
    assert {one.item for one in withdrawn} == {f"i{number}" for number in range(150)}
    assert len({one.event_id for one in withdrawn}) == len(withdrawn) == 150
    assert not any(stage.mentions(f"i{number}") for number in range(150))


def test_an_erased_user_may_begin_again_and_stragglers_stay_outside():
    stage = admission()
    stage.send(event("u", "i", 1000), user_update("u", 1500, attributes={"country": "NZ"}))
    stage.send(erase("u", 2000))
    for at_ms in (500, 2000):
        assert counts(stage.send(event("u", "i", at_ms))) == {"after_erasure": 1}
    again = one_signal(stage, event("u", "i", 2001))
    assert (again.first, again.old, again.liked, again.segment) == (True, 0, True, "")
    assert again.seq == 4
    assert signals(stage.send(erase("u", 3000, event_id="x"))) == [
        Withdrawn(3000, "x#0", "default", "i", 8, 2001, "")
    ]


def test_an_erasure_of_nobody_is_passed_on_once():
    stage = admission()
    outs = stage.send(erase("u", 2000))
    assert [out.to for out in outs] == ["history", "ranking"]
    assert counts(stage.send(erase("u", 2000))) == {"after_erasure": 1}
    assert [out.to for out in stage.send(erase("u", 2001))] == ["history", "ranking"]
