"""What the state shows when the job goes on: facts that do not hang on how lists are scored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from operators.messages import SOURCES, ListRow, ProfileRow

LEARNED = {"co_occurrence", "content"}


class Facts(Struct, kw_only=True, omit_defaults=True):
    """Of all users; one without a row is in none of them.

    Attributes:
        counts: Actions by kind.
        recent: Newest items first.
        generation: Number of lists made.
        fallback: Why a list is not the user's own; empty if it is.
        learned: Items that come from what was learned, each with the user's own item behind it.
        listed: All items of the list.
        tags: Names of the tags of a profile.
    """

    counts: dict[str, dict[str, int]] = {}
    recent: dict[str, list[str]] = {}
    generation: dict[str, int] = {}
    fallback: dict[str, str] = {}
    learned: dict[str, list[tuple[str, str]]] = {}
    listed: dict[str, list[str]] = {}
    tags: dict[str, list[str]] = {}

    def add_list(
        self, user: str, generation: int, fallback: str, items: Iterable[tuple[str, str, str]]
    ) -> None:
        """A list of (item, source, seed)."""
        shown = list(items)
        self.generation[user], self.fallback[user] = generation, fallback
        self.listed[user] = sorted(item for item, _, _ in shown)
        self.learned[user] = sorted((i, seed) for i, source, seed in shown if source in LEARNED)

    def add_profile(
        self, user: str, counts: Mapping[str, int], recent: Sequence[str], tags: Iterable[str]
    ) -> None:
        self.counts[user], self.recent[user] = dict(counts), list(recent)
        self.tags[user] = sorted(tags)


def of_rows(facts: Facts, rows: Iterable[Any]) -> None:
    """Take over what the rows of the stages say; later ones count."""
    for row in rows:
        if isinstance(row, ListRow):
            seeds = [row.seed_items[n][0] if n < len(row.seed_items) else "" for n in row.seeds]
            sources = [SOURCES[n] for n in row.sources]
            items = zip(row.ids, sources, seeds, strict=True)
            facts.add_list(row.user, row.generation, row.fallback, items)
        elif isinstance(row, ProfileRow):
            facts.add_profile(row.user, row.counts, row.recent, [tag[0] for tag in row.tags])


def differences(wanted: Facts, got: Facts) -> list[str]:
    """What is not as it was, in words: the fact, the user, both values."""
    told = []
    for name in Facts.__struct_fields__:
        before, after = getattr(wanted, name), getattr(got, name)
        told += [
            f"{name} of {user}: {before.get(user)} is now {after.get(user)}"
            for user in sorted(before.keys() | after.keys())
            if before.get(user) != after.get(user)
        ]
    return told
