"""Rows for the tests of the reading commands, and a store that holds them."""

from deploy.serving.store import ItemFacts, Profile, UserList
from operators.packing import item_key
from operators.reading import ListedItem, StoredList
from operators.seen import SeenFilter, build

AS_OF_MS = 1_700_000_000_000


def item(name: str, score: float, part: float = 0.0, seed: str | None = None) -> ListedItem:
    return ListedItem(
        item_id=name,
        score=score,
        item_score=part,
        source="co_occurrence" if seed else "trending",
        seed=seed,
        reason=f"Because of {seed}" if seed else "Popular right now",
    )


def stored(*items: ListedItem, fallback: str | None = None) -> StoredList:
    return StoredList(items=items, as_of_ms=AS_OF_MS, model="m-1", generation=7, fallback=fallback)


def own(*items: ListedItem, seen: tuple[str, ...] = (), fallback: str | None = None) -> UserList:
    packed = bytes(build([item_key(one) for one in seen], len(seen))) if seen else b""
    return UserList(
        stored=stored(*items, fallback=fallback), seen=SeenFilter(packed), variant="default"
    )


class MemoryStore:
    """What `deploy.serving.store.Store` answers, from dicts by (tenant, key)."""

    def __init__(self) -> None:
        self.lists: dict[tuple[str, str, str], UserList] = {}
        self.shared: dict[tuple[str, str], StoredList] = {}
        self.neighbours: dict[tuple[str, str], StoredList] = {}
        self.catalogue: dict[tuple[str, str], ItemFacts] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}

    def user_list(self, tenant, user, surface):
        return self.lists.get((tenant, user, surface))

    def trending(self, tenant, segment):
        return self.shared.get((tenant, segment))

    def segments(self, tenant):
        return sorted(name for whose, name in self.shared if whose == tenant)

    def similar(self, tenant, item_id):
        return self.neighbours.get((tenant, item_id))

    def items(self, tenant, ids):
        return {i: self.catalogue[tenant, i] for i in ids if (tenant, i) in self.catalogue}

    def profile(self, tenant, user):
        return self.profiles.get((tenant, user))

    def knows(self, tenant, user):
        return (tenant, user, "home") in self.lists or (tenant, user) in self.profiles

    def surfaces(self, tenant, user):
        return sorted(name for whose, who, name in self.lists if (whose, who) == (tenant, user))

    def rows_of(self, tenant, user):
        profiles = int((tenant, user) in self.profiles)
        return {"recommendations": len(self.surfaces(tenant, user)), "profiles": profiles}
