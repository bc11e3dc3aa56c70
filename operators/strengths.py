"""How much one action says about a user's liking of an item: an integer of 0 to 10.

A user's strength for an item is the maximum over the actions (TencentRec, SIGMOD 2015), so a
repeated click moves nothing and a robot's thousand clicks count once. Integers, because sums of
integers can be taken back exactly.
"""

from msgspec import Struct

from operators.events import STAR_ACTIONS, STARS_MAX, Interaction

STRENGTH_MAX = 10


class Strengths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Strength of each action, 0 (says nothing) to 10; ratings and reviews have two a star.

    Attributes:
        review: Of a review without stars.
        dwell: Of a visit of `dwell_full_s` seconds or more; shorter ones count in proportion.
        like_min: From this strength on, an action is a like (counts for popularity).
        like_min_stars: The same for ratings and reviews: 8 is four stars of five.
    """

    view: int = 4
    click: int = 5
    dwell: int = 6
    like: int = 8
    share: int = 8
    comment: int = 6
    review: int = 6
    favourite: int = 7
    cart: int = 6
    purchase: int = 10
    dwell_full_s: float = 30.0
    like_min: int = 4
    like_min_stars: int = 8

    def __post_init__(self) -> None:
        for action in ("view", "click", "dwell", "like", "share", "comment", "review", "favourite",
                       "cart", "purchase"):  # fmt: skip
            if not 0 <= getattr(self, action) <= STRENGTH_MAX:
                msg = f"strength of `{action}` is {getattr(self, action)}; 0 to {STRENGTH_MAX}"
                raise ValueError(msg)
        if not self.dwell_full_s > 0:
            msg = f"`dwell_full_s` is {self.dwell_full_s}; a full visit takes more than 0 seconds"
            raise ValueError(msg)


def strength_of(event: Interaction, strengths: Strengths) -> int:
    """Strength of one interaction, 0 to 10; searches and negative actions have none.

    >>> strength_of(Interaction(event_id="e", event_time=0, user_id="u", item_id="i",
    ...                         action="rating", value=4.5), Strengths())
    9
    """
    if event.action in STAR_ACTIONS and event.value is not None:
        share = event.value / STARS_MAX
    elif event.action == "dwell":
        share = (
            strengths.dwell / STRENGTH_MAX * min(1.0, (event.value or 0) / strengths.dwell_full_s)
        )
    else:
        return int(getattr(strengths, event.action, 0))
    return min(STRENGTH_MAX, int(STRENGTH_MAX * share + 0.5))


def is_like(event: Interaction, strength: int, strengths: Strengths) -> bool:
    """Whether the interaction counts as a like: four stars and up, or any willing action."""
    graded = event.action in STAR_ACTIONS and event.value is not None
    return strength >= (strengths.like_min_stars if graded else strengths.like_min)
