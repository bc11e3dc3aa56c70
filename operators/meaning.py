"""What the numbers in a state mean, as far as settings decide it.

Strengths and weights of pairs are summed into the state; under other settings the sums would mix
two scales. So the names of the states carry a digest of those settings, and a change of one of
them begins with an empty state. Whoever starts a job with such a change is told what is lost.
"""

from collections.abc import Mapping

from msgspec import Struct


class Meaning(Struct, frozen=True):
    """Settings that are part of a state.

    Attributes:
        digest: Of them, for the names of the states; empty where there are none.
        settings: Their values as JSON, by name.
    """

    digest: str = ""
    settings: Mapping[str, str] = {}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The settings that differ, in words; those that only one side knows are left out.

    >>> changes({"buckets": "16", "old": "1"}, {"buckets": "32"})
    ['buckets was 16 and is 32']
    """
    return [
        f"{name} was {before[name]} and is {now[name]}"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]


def loss(differing: list[str]) -> str:
    """What such a change costs, and what to do about it."""
    return (
        f"{', '.join(differing)}: numbers in the state mean something else with that, so it begins "
        "empty. Users, items, pairs and lists of before are no longer known, and records before "
        "the savepoint are not read again. To keep them, set it back; to learn anew from what the "
        "topics still hold, submit without --from-savepoint"
    )
