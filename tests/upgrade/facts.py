"""What the state shows when the job goes on: facts that do not hang on how lists are scored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from operators.messages import SOURCES
from operators.results import ListRow, ProfileRow
from tests.upgrade.stream import PICKY, REFUSED, SOLD_OUT

LEARNED = {"co_occurrence", "content"}


class Facts(Struct, kw_only=True, omit_defaults=True):
    """Of all users; one without a row is in none of them.

    Attributes:
        counts: Actions by kind.
        recent: Newest items first.
        generation: Number of lists made.
        fallback: Why a list is not the user's own; empty if it is.
        learned: Items that come from what was learned of other users or of the items themselves.
        listed: All items of the list; what is popular comes and goes with the moment, so that of
            these only what must never be there is looked at.
        tags: Names of the tags of a profile.
    """

    counts: dict[str, dict[str, int]] = {}
    recent: dict[str, list[str]] = {}
    generation: dict[str, int] = {}
    fallback: dict[str, str] = {}
    learned: dict[str, list[str]] = {}
    listed: dict[str, list[str]] = {}
    tags: dict[str, list[str]] = {}

    def add_list(
        self, user: str, generation: int, fallback: str, items: Iterable[tuple[str, str]]
    ) -> None:
        """A list of (item, source)."""
        shown = list(items)
        self.generation[user], self.fallback[user] = generation, fallback
        self.listed[user] = sorted(item for item, _ in shown)
        self.learned[user] = sorted(item for item, source in shown if source in LEARNED)

    def add_profile(
        self, user: str, counts: Mapping[str, int], recent: Sequence[str], tags: Iterable[str]
    ) -> None:
        self.counts[user], self.recent[user] = dict(counts), list(recent)
        self.tags[user] = sorted(tags)


def of_rows(facts: Facts, rows: Iterable[Any]) -> None:
    """Take over what the rows of the stages say; later ones count."""
    for row in rows:
        if isinstance(row, ListRow):
            items = zip(row.ids, [SOURCES[n] for n in row.sources], strict=True)
            facts.add_list(row.user, row.generation, row.fallback, items)
        elif isinstance(row, ProfileRow):
            facts.add_profile(row.user, row.counts, row.recent, [tag[0] for tag in row.tags])


def differences(wanted: Facts, got: Facts) -> list[str]:
    """What is not as it was, in words: the fact, the user, both values."""
    told = [f"{SOLD_OUT} is sold out and listed for {user}" for user, items in got.listed.items()
            if SOLD_OUT in items]  # fmt: skip
    if REFUSED in got.listed.get(PICKY, []):
        told.append(f"{PICKY} has refused {REFUSED}, which is listed")
    for name in Facts.__struct_fields__:
        if name == "listed":
            continue
        before, after = getattr(wanted, name), getattr(got, name)
        told += [
            f"{name} of {user}: {before.get(user)} is now {after.get(user)}"
            for user in sorted(before.keys() | after.keys())
            if before.get(user) != after.get(user)
        ]
    return told
