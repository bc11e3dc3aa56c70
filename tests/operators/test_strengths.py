"""What an action is worth."""

from typing import get_args

import msgspec
import pytest

from operators.events import Action, Interaction
from operators.strengths import Strengths, is_like, strength_of


def act(action: str, value: float | None = None) -> Interaction:
    item = None if action in {"search", "satisfaction"} else "i"
    return Interaction(event_id="e", event_time=0, user_id="u", item_id=item, action=action,
                       value=value, text="t")  # fmt: skip


@pytest.mark.parametrize(
    ("action", "value", "strength", "likes"),
    [
        ("view", None, 4, True),
        ("click", None, 5, True),
        ("like", None, 8, True),
        ("share", None, 8, True),
        ("comment", None, 6, True),
        ("favourite", None, 7, True),
        ("cart", None, 6, True),
        ("purchase", None, 10, True),
        ("purchase", 0.01, 10, True),
        ("search", None, 0, False),
        ("dislike", None, 0, False),
        ("hide", None, 0, False),
        ("report", None, 0, False),
        ("unfollow", None, 0, False),
        ("satisfaction", 5, 0, False),
        # two a star, halves rounded up
        ("rating", 5, 10, True),
        ("rating", 4, 8, True),
        ("rating", 3.75, 8, True),
        ("rating", 3.5, 7, False),
        ("rating", 0.25, 1, False),
        ("rating", 0.2, 0, False),
        ("rating", 0, 0, False),
        ("review", 4.5, 9, True),
        ("review", 3, 6, False),
        ("review", None, 6, True),
        # in proportion up to thirty seconds
        ("dwell", 0, 0, False),
        ("dwell", 2, 0, False),
        ("dwell", 3, 1, False),
        ("dwell", 15, 3, False),
        ("dwell", 20, 4, True),
        ("dwell", 30, 6, True),
        ("dwell", 1e9, 6, True),
    ],
)
def test_strength_and_like(action, value, strength, likes):
    event = act(action, value)
    assert strength_of(event, Strengths()) == strength
    assert type(strength_of(event, Strengths())) is int
    assert is_like(event, strength, Strengths()) is likes


def test_settings_change_the_worth_of_an_action():
    strengths = Strengths(click=10, dwell=10, dwell_full_s=60, review=2, like_min=7,
                          like_min_stars=6)  # fmt: skip
    assert strength_of(act("click"), strengths) == 10
    assert strength_of(act("dwell", 30), strengths) == 5
    assert strength_of(act("review"), strengths) == 2
    assert not is_like(act("cart"), 6, strengths)
    assert is_like(act("rating", 3), 6, strengths)


@pytest.mark.parametrize("strength", [0, 10])
@pytest.mark.parametrize("action", sorted(set(get_args(Action)) & set(Strengths.__struct_fields__)))
def test_every_strength_lies_in_0_to_10(action, strength):
    assert getattr(Strengths(**{action: strength}), action) == strength
    for outside in (-1, 11):
        with pytest.raises(ValueError, match=f"`{action}` is {outside}; 0 to 10"):
            Strengths(**{action: outside})


def test_every_action_that_says_something_has_a_strength():
    silent = {"search", "satisfaction", "mood", "dislike", "hide", "report", "unfollow", "rating"}
    assert set(get_args(Action)) - silent <= set(Strengths.__struct_fields__)


@pytest.mark.parametrize("seconds", [0, -1])
def test_the_length_of_a_full_visit_is_positive(seconds):
    with pytest.raises(ValueError, match="dwell_full_s"):
        msgspec.convert({"dwell_full_s": seconds}, Strengths)
