"""Hypothesis generators of the domain: streams of events as users make them."""

from hypothesis import strategies as st

from operators.events import NEGATIVE_ACTIONS, Interaction
from tests.builders import listing

USERS = [f"u{n}" for n in range(5)]
ITEMS = [f"i{n}" for n in range(9)]
ACTIONS = ["view", "click", "like", "cart", "purchase", "favourite", "rating",
           *sorted(NEGATIVE_ACTIONS)]  # fmt: skip


@st.composite
def interactions(draw, users=USERS, items=ITEMS, actions=ACTIONS):
    """One interaction without a time."""
    action = draw(st.sampled_from(actions))
    value = draw(st.integers(1, 10)) / 2 if action == "rating" else None
    return draw(st.sampled_from(users)), draw(st.sampled_from(items)), action, value


@st.composite
def streams(draw, max_size=60, **kinds):
    """A catalogue and interactions in order of time; some share a millisecond."""
    steps = draw(st.lists(st.tuples(interactions(**kinds), st.sampled_from([0, 1, 1000, 10**7])),
                          max_size=max_size))  # fmt: skip
    now_ms, records = 10**12, []
    for item in kinds.get("items", ITEMS):
        categories = draw(st.lists(st.sampled_from(["drama", "comedy", "war"]), unique=True))
        records.append(listing(item, now_ms, categories=categories))
    for number, ((user, item, action, value), wait_ms) in enumerate(steps):
        now_ms += wait_ms
        records.append(
            Interaction(
                event_id=f"e{number:05d}", event_time=now_ms, user_id=user, item_id=item,
                action=action, value=value,
            )
        )  # fmt: skip
    return records
