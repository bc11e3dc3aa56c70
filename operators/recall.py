"""A user who is back after long: the candidates are made anew of the items the user knows.

Candidate rows hold what the neighbours of an item were worth when the user touched it. A list of
months ago was made of pairs that few people had made yet. So the history asks for the neighbours
of the last items again (`messages.Recall`), and the answers replace what those items once said:

    row *= REMAINS                                        once, with the first answer
    main += w * decay^n * sim,  fast += w * decay_fast^n * sim,  and so on

where n counts the user's items since. An answer says its place by itself, so that they may come in
any order, before the event that brought the user back, after it, or on both sides of it.
"""

import numpy as np

from operators.accumulator import RankedUser, write_rows
from operators.candidates import BEST, CONTENT, FAST, MAIN, SHORT, SUPPORT, recall_rows
from operators.interests import LOST
from operators.messages import Recalled
from operators.packing import Keys, item_key
from operators.parameters import AccumulatorSettings
from operators.strengths import STRENGTH_MAX

REMAINS = 0.05
"""What is left of the rows: enough to order a list until the answers are there."""


def begin(user: RankedUser, seq: int) -> None:
    """Let the rows fade, once a return; `seq` is that of the message that brought the user back."""
    if seq > user.recalled_seq:
        user.recalled_seq, user.recalled_at = seq, user.events
        user.rows[:, [MAIN, FAST, SHORT, SUPPORT, BEST, CONTENT]] *= np.float32(REMAINS)


def recall(user: RankedUser, told: Recalled, seen: Keys, settings: AccumulatorSettings) -> None:
    """Add the neighbours of an earlier item as if it had been touched in its place."""
    begin(user, told.seq)
    if told.seq < user.recalled_seq:
        return
    age = told.place + user.events - user.recalled_at
    slow, fast = settings.decay**age, settings.decay_fast**age
    grade = told.strength / STRENGTH_MAX
    event = max(
        (number for number, (item, _) in user.seeds.items() if item == told.item), default=0
    )
    slot = user.interests.slots.get(event, LOST)
    worth = np.array([grade * slow, grade * fast, fast, slow], np.float32)
    own, number = np.uint64(item_key(told.item)), np.float32(event)
    bounds = settings.candidates_max, settings.interest_rows
    write_rows(user, told, recall_rows, seen, own, worth, number, slot, *bounds)
