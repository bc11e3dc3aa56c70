"""A user who is back after long: the candidates are made anew of the items the user knows.

Candidate rows hold what the neighbours of an item were worth when the user touched it. A list of
months ago was made of pairs that few people had made yet. So the history asks for the neighbours
of the last items again (`messages.Recall`), and the answers replace what those items once said:

    row *= REMAINS                                        once, with the first answer
    main += w * decay^n * sim,  fast += w * decay_fast^n * sim,  and so on

where n counts the user's items since. An answer says its place by itself, so that they may come in
any order, before the event that brought the user back, after it, or on both sides of it.
"""

from typing import Any

import numpy as np

from operators.accumulator import AccumulatorSettings, RankedUser, chosen_ids
from operators.candidates import (
    BEST,
    BEST_AT,
    COLUMNS,
    CONTENT,
    FAST,
    INTEREST,
    LIKES,
    MAIN,
    SENT_CONTENT,
    SENT_FIGURES,
    SHORT,
    SUPPORT,
    is_in,
    keep_best,
)
from operators.interests import LOST
from operators.kernels import NOWHERE, kernel, place_of
from operators.messages import Recalled
from operators.packing import PULLED, Keys, words
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
    sent, known = words(told.rows, PULLED), len(user.rows)
    room = known + len(sent)
    rows, keys = np.empty((room, COLUMNS), np.float32), np.empty(room, np.uint64)
    origin = np.empty(room, np.int64)
    worth = np.array([grade * slow, grade * fast, fast, slow], np.float32)
    count = _recall_rows(
        user.rows, user.keys, sent, seen, worth, np.float32(event), slot, settings.candidates_max,
        settings.interest_rows, rows, keys, origin,
    )  # fmt: skip
    user.rows, user.keys = rows[:count], keys[:count]
    user.ids = chosen_ids(user.ids, told.ids, origin[:count])


@kernel
def _recall_rows(
    rows: Any, keys: Any, sent: Any, seen: Any, worth: Any, event: Any, slot: int, limit: int,
    reserve: int, out: Any, out_keys: Any, origin: Any,
) -> int:  # fmt: skip
    """As `candidates.absorb_rows`, but nothing fades; `worth` of main, fast, short, support."""
    count = len(rows)
    out[:count], out_keys[:count], origin[:count] = rows, keys, np.arange(count)
    halves = sent.view(np.uint32)
    for number in range(len(sent)):
        key = np.uint64(halves[number, 2]) | (np.uint64(halves[number, 3]) << np.uint64(32))
        if is_in(seen, key):
            continue
        place = place_of(out_keys, len(rows), key)
        if place == NOWHERE:
            place = count
            out[place] = 0
            out_keys[place], origin[place] = key, len(rows) + number
            count += 1
        gain = worth[0] * sent[number, 0]
        out[place, MAIN] += gain
        out[place, FAST] += worth[1] * sent[number, 0]
        out[place, SHORT] += worth[2] * sent[number, 1]
        out[place, SUPPORT] += worth[3] if gain != 0 or not sent[number, SENT_CONTENT] > 0 else 0.0
        out[place, CONTENT] += worth[0] * sent[number, SENT_CONTENT]
        gain += worth[0] * sent[number, SENT_CONTENT]
        if gain >= out[place, BEST]:
            out[place, BEST], out[place, BEST_AT] = gain, event
            out[place, INTEREST] = slot
        out[place, LIKES:CONTENT] = sent[number, SENT_FIGURES:]
    return keep_best(out, out_keys, origin, count, limit, reserve if slot > 0 else 0)
