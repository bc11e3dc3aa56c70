"""The border: what the contract allows comes in, everything else is refused with a sentence."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.events import (
    NEGATIVE_ACTIONS,
    Action,
    Border,
    Erase,
    Impression,
    Interaction,
    Item,
    Rejected,
    UserUpdate,
    parse_event,
    parse_item,
    subject_of,
)

NOW_MS = 1_700_000_000_000
BORDER = Border()
CLICK = {"kind": "interaction", "event_id": "e1", "event_time": 1000, "user_id": "u1",
         "item_id": "i1", "action": "click"}  # fmt: skip
SHOWN = {"kind": "impression", "event_id": "e1", "event_time": 1000, "user_id": "u1",
         "impression_id": "p1", "surface": "home",
         "items": [{"item_id": "i1", "position": 0}]}  # fmt: skip
USER = {"kind": "user", "event_id": "e1", "event_time": 1000, "user_id": "u1"}
ERASE = {"kind": "erase", "event_id": "e1", "event_time": 1000, "user_id": "u1"}
ITEM = {"item_id": "i1", "event_time": 1000, "title": "Heat"}


def parse(record: object, **border: int):
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    return parse_event(raw, NOW_MS, Border(**border))


def item(record: object):
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    return parse_item(raw, NOW_MS, BORDER)


def refusal(result: object) -> tuple[str, str]:
    assert isinstance(result, Rejected), result
    return result.kind, result.reason


def but(record: dict, **changes: object) -> dict:
    """The record with changes; a field changed to `...` is left out."""
    return {name: value for name, value in {**record, **changes}.items() if value is not ...}


NEEDS = {"mood": {"text": "joy"},
         "dwell": {"value": 12.5}, "rating": {"value": 4.5}, "satisfaction": {"value": 3},
         "search": {"text": "jazz"}, "comment": {"text": "good"},
         "review": {"text": "fine"}}  # fmt: skip


@pytest.mark.parametrize("action", get_args(Action))
def test_each_action_of_the_contract_comes_in(action):
    item_id = ... if action in {"search", "satisfaction", "mood"} else "i1"
    event = parse(but(CLICK, action=action, item_id=item_id, **NEEDS.get(action, {})))
    assert isinstance(event, Interaction)
    assert event.action == action


def test_the_contract_names_these_actions():
    named = ("view click dwell search like share comment review rating favourite cart purchase "
             "dislike hide report unfollow satisfaction mood")  # fmt: skip
    assert set(get_args(Action)) == set(named.split())
    assert {"dislike", "hide", "report", "unfollow"} == NEGATIVE_ACTIONS


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (CLICK, Interaction),
        (but(CLICK, user_id=..., session_id="s1"), Interaction),
        (but(CLICK, value=3, text="t", language="en", surface="home", impression_id="p1",
             consent=False, session_id="s", tenant="shop",
             context={"device": "phone", "country": "NZ", "screen": 6.1, "new": True, "n": None}),
         Interaction),
        (but(CLICK, action="search", item_id=..., text="jazz"), Interaction),
        (but(CLICK, action="search", text="jazz"), Interaction),
        (but(CLICK, action="purchase", value=0), Interaction),
        (but(CLICK, action="purchase"), Interaction),
        (but(CLICK, action="review", value=5), Interaction),
        (but(CLICK, action="review", value=0, text="bad"), Interaction),
        (but(CLICK, action="satisfaction", item_id=..., value=1), Interaction),
        (SHOWN, Impression),
        (but(SHOWN, user_id=..., session_id="s1", variant="b", items=[]), Impression),
        (but(SHOWN, items=[{"item_id": "i1", "position": 3, "source": "trending", "score": -1.5,
                            "propensity": 0.25}]), Impression),
        (USER, UserUpdate),
        (but(USER, attributes={"country": "NZ", "age_group": "30-39"}, personalise=False,
             preferences={"topics": ["war"], "blocked_categories": ["drama"]}), UserUpdate),
        (ERASE, Erase),
    ],
)  # fmt: skip
def test_every_kind_of_event_comes_in_with_all_and_with_few_fields(record, kind):
    event = parse(record)
    assert type(event) is kind
    for name in record.keys() - {"kind", "items", "preferences"}:
        assert getattr(event, name) == record[name]


@pytest.mark.parametrize(
    "record",
    [
        ITEM,
        but(ITEM, tenant="shop", description="d", categories=["a"], tags=["t"], language="en",
            image_uri="x", audio_uri="y", price=1.5, creator="c", available=False,
            attributes={"deep": {"er": [1, None]}}),
        but(ITEM, title=""),
    ],
)  # fmt: skip
def test_catalogue_records_come_in(record):
    found = item(record)
    assert isinstance(found, Item)
    assert {name: getattr(found, name) for name in record} == record


def test_what_is_left_out_takes_the_defaults_of_the_contract():
    event, shown, user, listed = parse(CLICK), parse(SHOWN), parse(USER), item(ITEM)
    assert (event.tenant, event.consent, event.value, event.context) == (
        "default",
        True,
        None,
        None,
    )
    assert (shown.items[0].source, shown.items[0].propensity, shown.variant) == (None, None, None)
    assert (user.personalise, user.attributes) == (True, {})
    assert (user.preferences.topics, user.preferences.blocked_categories) == ([], [])
    assert (listed.available, listed.categories, listed.tags, listed.price) == (True, [], [], None)


def test_unknown_fields_are_left_outside():
    event = parse(but(CLICK, password="x", nested={"a": [1]}))
    assert event == parse(CLICK)
    assert not hasattr(event, "password")
    assert item(but(ITEM, colour="red")) == item(ITEM)


def test_of_a_field_named_twice_the_last_counts():
    raw = json.dumps(CLICK)[:-1].encode() + b', "item_id": "i2"}'
    assert parse(raw) == parse(but(CLICK, item_id="i2"))


@pytest.mark.parametrize(
    ("raw", "kind", "says"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b"null", "contract", "Expected `object`, got `null`"),
        (b"7", "contract", "got `int`"),
        (b"[]", "contract", "got `array`"),
        (b'"x"', "contract", "got `str`"),
        (b"   ", "json", "truncated"),
        (b'{"kind": "erase", "event_id": "e', "json", "truncated"),
        (b"{'kind': 'erase'}", "json", "malformed"),
        (json.dumps(ERASE).encode() + b"x", "json", "trailing"),
        (json.dumps(ERASE).encode("utf-16"), "json", "malformed"),
        (json.dumps(ERASE).encode().replace(b"u1", b"u\xff"), "json", "utf-8"),
        (json.dumps(ERASE).encode().replace(b"u1", b"\\ud800"), "json", ""),
        (json.dumps(ERASE).encode().replace(b"u1", b"\\ud800 then"), "json", "surrogate"),
        (json.dumps(ERASE).encode().replace(b"u1", b"\\udc00"), "json", "surrogate"),
        (json.dumps(ERASE).encode().replace(b"u1", b"\xed\xa0\x80"), "json", "utf-8"),
        (b'{"kind":"erase","event_id":"e","user_id":"u","event_time":NaN}', "json", "malformed"),
        (b"\xef\xbb\xbf" + json.dumps(ERASE).encode(), "json", "malformed"),
        (b'{"a":' * 100_000, "json", ""),
        (b'{"kind":"erase","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json", "recursion"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bytes_that_are_no_record_are_refused(raw, kind, says):
    got_kind, reason = refusal(parse_event(raw, NOW_MS, BORDER))
    assert got_kind == kind
    assert says.lower() in reason.lower()
    assert isinstance(parse_item(raw, NOW_MS, BORDER), Rejected)


def test_deep_nesting_in_an_unknown_field_within_the_parser_depth_is_ignored():
    raw = json.dumps(ERASE)[:-1].encode() + b', "x": ' + b"[" * 100 + b"]" * 100 + b"}"
    assert parse(raw) == parse(ERASE)


def test_ten_megabytes_are_refused_unread_and_the_limit_is_legal():
    big = json.dumps(but(CLICK, text="x" * 10_000_000)).encode()
    kind, reason = refusal(parse_event(big, NOW_MS, BORDER))
    assert kind == "size"
    assert f"{len(big)} bytes" in reason
    assert "1048576" in reason
    raw = json.dumps(CLICK).encode()
    assert isinstance(parse(raw, record_bytes_max=len(raw)), Interaction)
    assert refusal(parse(raw, record_bytes_max=len(raw) - 1))[0] == "size"


NOT_IN = "at `$.{}`"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        *[(but(CLICK, **{name: ...}), f"missing required field `{name}`")
          for name in ("event_id", "event_time", "action")],
        (but(CLICK, kind=...), "missing required field `kind`"),
        (but(CLICK, user_id=...), "neither `user_id` nor `session_id`"),
        (but(CLICK, user_id=None), "neither `user_id` nor `session_id`"),
        (but(CLICK, item_id=...), "only `mood` and `satisfaction` and `search` may"),
        (but(CLICK, action="mood", item_id=...), "action `mood` without `text`"),
        (but(CLICK, action="mood", item_id=..., text="bored"), "is `bored`; it is one of joy"),
        (but(CLICK, action="mood", item_id=..., text="joy", value=2), "it lies in 0.0 to 1.0"),
        (but(CLICK, action="dwell"), "`dwell` without `value`"),
        (but(CLICK, action="rating"), "`rating` without `value`"),
        (but(CLICK, action="satisfaction"), "`satisfaction` without `value`"),
        (but(CLICK, action="search", item_id=...), "`search` without `text`"),
        (but(CLICK, action="comment"), "`comment` without `text`"),
        (but(CLICK, action="review"), "neither `value` (stars) nor `text`"),
        (but(CLICK, event_id=7), NOT_IN.format("event_id")),
        (but(CLICK, event_time="1000"), NOT_IN.format("event_time")),
        (but(CLICK, event_time=1000.5), NOT_IN.format("event_time")),
        (but(CLICK, event_time=True), NOT_IN.format("event_time")),
        (but(CLICK, event_time=None), NOT_IN.format("event_time")),
        (but(CLICK, event_time=-1), ">= 0"),
        (but(CLICK, event_time=2**53 + 1), "<= 9007199254740992"),
        (but(CLICK, event_time=2**70), NOT_IN.format("event_time")),
        (but(CLICK, value="5"), NOT_IN.format("value")),
        (but(CLICK, consent="yes"), NOT_IN.format("consent")),
        (but(CLICK, context=["x"]), NOT_IN.format("context")),
        (but(CLICK, context={"deep": {}}), NOT_IN.format("context[...]")),
        (but(CLICK, user_id=["u"]), NOT_IN.format("user_id")),
        (but(CLICK, event_id=""), "length >= 1"),
        (but(CLICK, user_id=""), "length >= 1"),
        (but(CLICK, item_id=""), "length >= 1"),
        (but(CLICK, session_id=""), "length >= 1"),
        (but(CLICK, tenant=""), "length >= 1"),
        (but(CLICK, event_id="e" * 300), "length <= 256"),
        (but(CLICK, user_id="ü" * 200), "`user_id` has 400 bytes; an id has 1 to 256"),
        (but(CLICK, item_id="ü" * 150), "`item_id` has 300 bytes; an id has 1 to 256"),
        (but(CLICK, session_id="ü" * 129), "`session_id` has 258 bytes"),
        (but(CLICK, impression_id="ü" * 129), "`impression_id` has 258 bytes"),
        (but(CLICK, event_id="ü" * 129), "`event_id` has 258 bytes"),
        (but(CLICK, tenant="ü" * 129), "`tenant` has 258 bytes"),
        (but(CLICK, tenant="a\x1fb"), NOT_IN.format("tenant")),
        (but(CLICK, tenant="a\nb"), NOT_IN.format("tenant")),
        (but(CLICK, action="rating", value=5.5), "`value` of `rating` is 5.5; it lies in 0.0 to 5"),
        (but(CLICK, action="rating", value=-0.5), "it lies in 0.0 to 5.0"),
        (but(CLICK, action="review", value=6), "`value` of `review` is 6.0"),
        (but(CLICK, action="dwell", value=-1), "`value` of `dwell` is -1.0; it lies in 0.0 to inf"),
        (but(CLICK, action="purchase", value=-1), "`value` of `purchase` is -1.0"),
        (but(CLICK, action="satisfaction", value=0), "it lies in 1.0 to 5.0"),
        (but(SHOWN, user_id=...), "an impression has at least one of them"),
        (but(SHOWN, impression_id=...), "missing required field `impression_id`"),
        (but(SHOWN, surface=...), "missing required field `surface`"),
        (but(SHOWN, items=...), "missing required field `items`"),
        (but(SHOWN, items=[{"item_id": "i"}]), "missing required field `position`"),
        (but(SHOWN, items=[{"item_id": "i", "position": -1}]), ">= 0"),
        (but(SHOWN, items=[{"item_id": "i", "position": 0, "propensity": 2}]), "<= 1"),
        (but(SHOWN, items=[{"item_id": "i", "position": 0}] * 1001), "length <= 1000"),
        (but(USER, user_id=...), "missing required field `user_id`"),
        (but(USER, user_id="ü" * 129), "`user_id` has 258 bytes"),
        (but(USER, preferences={"blocked_categories": "war"}), "blocked_categories"),
        (but(USER, preferences={"hidden_tags": ["t"] * 201}), "hidden_tags"),
        (but(ERASE, user_id=...), "missing required field `user_id`"),
        (but(ERASE, user_id="ü" * 129), "`user_id` has 258 bytes"),
    ],
)  # fmt: skip
def test_an_event_against_the_contract_is_refused_with_the_place(record, says):
    kind, reason = refusal(parse(record))
    assert kind == "contract"
    assert says in reason


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (but(ITEM, item_id=...), "missing required field `item_id`"),
        (but(ITEM, event_time=...), "missing required field `event_time`"),
        (but(ITEM, title=...), "missing required field `title`"),
        (but(ITEM, title=None), "at `$.title`"),
        (but(ITEM, item_id="ü" * 150), "`item_id` has 300 bytes"),
        (but(ITEM, item_id=""), "length >= 1"),
        (but(ITEM, categories="drama"), "at `$.categories`"),
        (but(ITEM, categories=[1]), "at `$.categories[0]`"),
        (but(ITEM, price="cheap"), "at `$.price`"),
        (but(ITEM, available=1), "at `$.available`"),
        (but(ITEM, event_time=-1), ">= 0"),
        (but(ITEM, tenant="a\x00"), "at `$.tenant`"),
    ],
)
def test_a_catalogue_record_against_the_contract_is_refused_with_the_place(record, says):
    kind, reason = refusal(item(record))
    assert kind == "contract"
    assert says in reason


def test_a_tenant_does_not_end_in_a_newline():
    assert refusal(parse(but(CLICK, tenant="a\n")))[0] == "contract"


def test_an_id_inside_an_impression_has_at_most_256_bytes():
    record = but(SHOWN, items=[{"item_id": "ü" * 150, "position": 0}])
    assert refusal(parse(record))[0] == "contract"


def test_an_unknown_kind_or_action_is_answered_with_the_legal_ones():
    _, reason = refusal(parse(but(CLICK, kind="clique")))
    assert "clique" in reason
    assert "interaction, impression, user, erase" in reason
    _, reason = refusal(parse(but(CLICK, action="buy")))
    assert "buy" in reason
    assert all(action in reason for action in get_args(Action))


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("action", ["click", "dwell", "purchase", "rating"])
def test_a_value_that_is_no_finite_number_is_refused(number, action):
    raw = json.dumps(but(CLICK, action=action, value="V")).encode().replace(b'"V"', number)
    assert refusal(parse(raw))[0] in {"json", "contract"}


@pytest.mark.parametrize("size", [1, 256])
def test_ids_of_one_and_of_256_bytes_are_legal(size):
    assert parse(but(CLICK, user_id="u" * size)).user_id == "u" * size
    assert parse(but(CLICK, user_id="ü" * (size // 2) or "x")).user_id


def test_the_year_2300_is_refused_and_the_clock_may_be_ten_minutes_behind():
    year_2300_ms = 10_413_792_000_000
    kind, reason = refusal(parse(but(CLICK, event_time=year_2300_ms)))
    assert kind == "future"
    assert "2300-01-01" in reason
    assert "milliseconds" in reason
    edge_ms = NOW_MS + BORDER.future_max_ms
    assert isinstance(parse(but(CLICK, event_time=edge_ms)), Interaction)
    assert refusal(parse(but(CLICK, event_time=edge_ms + 1)))[0] == "future"
    assert refusal(item(but(ITEM, event_time=edge_ms + 1)))[0] == "future"
    assert "9999" in refusal(parse(but(CLICK, event_time=2**53)))[1]
    assert isinstance(parse(but(CLICK, event_time=0)), Interaction)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_record_or_a_reason(raw):
    for result in (parse_event(raw, NOW_MS, BORDER), parse_item(raw, NOW_MS, BORDER)):
        assert not isinstance(result, Rejected) or (result.kind and result.reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from([CLICK, SHOWN, USER, ERASE]), st.data())
def test_any_value_in_any_field_gives_a_record_or_a_reason(record, data):
    field = data.draw(st.sampled_from(sorted(record)))
    changed = but(record, **{field: data.draw(JSON)})
    result = parse(json.dumps(changed).encode())
    if not isinstance(result, Rejected):
        ids = [getattr(result, name, None) for name in ("event_id", "user_id", "item_id")]
        assert all(1 <= len(one.encode()) <= 256 for one in ids if one is not None)
        assert 0 <= result.event_time <= NOW_MS + BORDER.future_max_ms


@pytest.mark.parametrize(
    ("record", "subject"),
    [
        (CLICK, "u1"),
        (but(CLICK, session_id="s1"), "u1"),
        (but(CLICK, session_id="s1", consent=False), "s1"),
        (but(CLICK, consent=False), None),
        (but(CLICK, user_id=..., session_id="s1"), "s1"),
        (SHOWN, "u1"),
        (but(SHOWN, user_id=..., session_id="s1"), "s1"),
        (USER, "u1"),
        (ERASE, "u1"),
    ],
)
def test_an_event_is_about_its_user_or_without_consent_its_session(record, subject):
    assert subject_of(parse(record)) == subject
