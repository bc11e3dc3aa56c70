"""The shared lists as the ranking uses them: candidates for everybody, and the measure of pop.

Making candidates of lists takes longer than scoring them for one user, and the lists change once
a second: what was made of a list is kept until the list is another. That is a memo and no state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.accumulator import RankedUser
from operators.candidates import COLUMNS, CONTENT
from operators.candidates import LIKES as LIKES_AT
from operators.composing import FRESH, TRENDING, Strategy
from operators.features import Reference
from operators.id_list import IdList, id_list, take
from operators.item_figures import FRESH as NEW
from operators.messages import PopularList
from operators.packing import FIGURES, LIKES, LIKES_1D, LIKES_30D, Keys, Words, keys_in, words
from operators.stage import Table, pair_key

GENERAL = ("all_time", "1h", "1d", "30d")
MADE_MAX = 4096


@dataclass
class Shelf:
    """Items of shared lists as candidate rows without sums, each item once.

    Attributes:
        names: Of the lists.
        lists: Place among the names of the list that each item stands in first.
        sources: Index into `messages.SOURCES` of each.
        contextual: Whether that list is of a segment.
        fresh: Whether any is of the source `fresh`.
    """

    rows: Words
    keys: Keys
    ids: IdList
    names: list[str]
    lists: NDArray[np.int64]
    sources: NDArray[np.int64]
    contextual: NDArray[np.bool_]
    fresh: bool


class Shelves:
    """Shelves and references by tenant and names of lists, from a table of shared lists."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], tuple[list[PopularList], Shelf, Reference]] = {}

    def of(
        self, shared: Table[PopularList], general: Mapping[str, PopularList | None], tenant: str,
        names: Sequence[str],
    ) -> tuple[Shelf, Reference]:  # fmt: skip
        """The lists of these names as candidates, and the tenant's reference.

        Args:
            shared: All lists.
            general: Those of `GENERAL`, by name.
            tenant: Whose.
            names: Of lists.
        """
        found = (general.get(name) or shared.get(pair_key(tenant, name)) for name in names)
        lists = [one for one in found if one is not None]
        known = [*lists, *(one for one in general.values() if one is not None)]
        made = self._made.get((tenant, *names))
        if made is None or made[0] != known:
            if len(self._made) >= MADE_MAX:
                self._made.clear()
            reference = make_reference([one for one in general.values() if one is not None])
            made = self._made[(tenant, *names)] = known, make_shelf(lists), reference
        return made[1], made[2]


def wants_of(strategies: Mapping[str, Strategy]) -> tuple[bool, bool]:
    """Whether any of them asks for what is popular in the user's segment; for what is fresh."""
    used = strategies.values()
    return any(one.kind == "context" for one in used), any(one.explore_places for one in used)


def names_for(user: RankedUser, wants: tuple[bool, bool]) -> list[str]:
    """Shared lists that candidates come from; a user without events gets the own ones first.

    Args:
        user: Of the list.
        wants: See `wants_of`.
    """
    by_context, explores = wants
    segment = [f"segment:{user.segment}"] if user.segment else []
    if user.events:
        category = [f"category:{user.category}"] if user.category else []
        names = [*GENERAL, *category, *(segment if by_context else [])]
    else:
        names = [*(f"category:{topic}" for topic in user.topics), *segment, *GENERAL]
    return [*names, NEW] if explores else names


def make_shelf(lists: Sequence[PopularList]) -> Shelf:
    """Join shared lists; an item keeps its first place."""
    figures = words(b"".join(one.rows for one in lists), FIGURES)
    keys = keys_in(figures[:, :2])
    ids = id_list([item for one in lists for item in one.ids])
    first = np.sort(np.unique(keys, return_index=True)[1])
    rows = np.zeros((len(first), COLUMNS), np.float32)
    rows[:, LIKES_AT:CONTENT] = figures[first, 3:]
    names = [one.name for one in lists]
    of = np.repeat(np.arange(len(lists)), np.array([len(one.ids) for one in lists], int))[first]
    sources = np.array([FRESH if name == NEW else TRENDING for name in names], np.int64)
    contextual = np.array([name.startswith("segment:") for name in names], bool)
    return Shelf(
        rows, keys[first], take(ids, first), names, of, sources[of], contextual[of],
        bool((sources[of] == FRESH).any()),
    )  # fmt: skip


def make_reference(lists: Sequence[PopularList]) -> Reference:
    """What popularity is measured against: the first of the general lists."""
    plain = Reference()
    best = {one.name: words(one.rows, FIGURES)[:1] for one in lists}

    def first(name: str, word: int, otherwise: float) -> float:
        row = best.get(name)
        return float(row[0, word]) if row is not None and len(row) else otherwise

    return Reference(
        int(first("all_time", LIKES, plain.likes)),
        first("1d", LIKES_1D, plain.likes_1d),
        first("30d", LIKES_30D, plain.likes_30d),
    )
