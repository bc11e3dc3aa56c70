"""The algorithm written down a second time: plain dicts, floats, no batches, no caches, no bounds.

One event at a time, whole maps, nothing shared with the product but its numbers. Small streams
stay below every bound of the product, so its lists have to be these.
"""

import math
from collections import defaultdict

Q, GAP, SHORT, PHI, DAMPING, DECAY = 20, 0.9, 0.3, 0.7, 100.0, 0.9
STRENGTH = {"view": 4, "click": 5, "like": 8, "cart": 6, "purchase": 10, "favourite": 7}
NEGATIVE = {"dislike", "hide", "report", "unfollow"}


class Oracle:
    """Feed `act`; ask `ranked` for (item, main) of a user, best first."""

    def __init__(self):
        self.sums = defaultdict(int)
        self.pairs = defaultdict(lambda: [0, 0])
        self.ratio = {}
        self.history = defaultdict(list)
        self.strength = defaultdict(dict)
        self.main = defaultdict(lambda: defaultdict(float))
        self.refused = defaultdict(set)

    def act(self, user, item, action, value=None):
        if action in NEGATIVE:
            self.refused[user].add(item)
            self.main[user].pop(item, None)
            return
        strength = round(2 * value) if action == "rating" else STRENGTH[action]
        old = self.strength[user].get(item, 0)
        self.sums[item] += max(0, strength - old)
        raw = self.sums[item]
        past = self.history[user]
        if strength > old:
            for place, (other, its_strength, its_raw) in enumerate(reversed(past[-Q:])):
                shared = min(strength, its_strength) - min(old, its_strength)
                if other != item and shared > 0:
                    self.pairs[other, item][0] += shared * round(100 * GAP**place)
                    self.pairs[item, other][1] += shared * round(100 * GAP**place)
                    self.ratio[other, item] = raw / its_raw
                    self.ratio[item, other] = its_raw / raw
        self.strength[user][item] = max(old, strength)
        past[:] = [entry for entry in past if entry[0] != item]
        past.append((item, max(old, strength), raw))
        del past[:-Q]
        self._pull(user, item, strength / 10)

    def similarity(self, item, other):
        forward, backward = self.pairs[item, other]
        if not forward and not backward:
            return 0.0
        below = self.sums[item] * math.sqrt(self.ratio[item, other]) + DAMPING
        return (PHI * forward + (1 - PHI) * backward) / 100 / below

    def _pull(self, user, item, weight):
        main = self.main[user]
        for other in main:
            main[other] *= DECAY
        main.pop(item, None)
        for other in list(self.sums):
            known = other in self.strength[user] or other in self.refused[user]
            similarity = self.similarity(item, other)
            if not known and similarity:
                main[other] += weight * similarity

    def ranked(self, user):
        return sorted(self.main[user].items(), key=lambda pair: -pair[1])
