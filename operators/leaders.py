"""The best items of a bucket for each shared list, with their scores."""

from collections.abc import Mapping

from operators.stage import Table


class Offers:
    """Offers the items of a batch to shared lists of a bucket.

    What an item has to reach to enter a full list is looked for once, for all that fall short.

    Args:
        table: The lists; nobody else changes them meanwhile.
        size: Items of a list at the most.
    """

    def __init__(self, table: Table[dict[str, float]], size: int) -> None:
        self._table, self._size = table, size
        self._lowest: dict[str, float] = {}

    def offer(self, key: str, item: str, score: float | None) -> bool:
        """Put, move or (score None) remove an item; whether it stood or stands in that list."""
        leaders = self._table.get(key) or {}
        before = item in leaders
        if not before and self._falls_short(key, leaders, score):
            return False
        self._lowest.pop(key, None)
        after = place(leaders, item, score, self._size)
        if before or after:
            self._table.put(key, leaders)
        return before or after

    def _falls_short(self, key: str, leaders: Mapping[str, float], score: float | None) -> bool:
        """Whether there is no place in a list for an item that does not stand in it."""
        if score is None:
            return True
        if len(leaders) < self._size:
            return False
        if key not in self._lowest:
            self._lowest[key] = min(leaders.values(), default=score)
        return score < self._lowest[key]


def place(leaders: dict[str, float], item: str, score: float | None, size: int) -> bool:
    """Put, move or (score None) remove an item; whether it stands among the best `size` now."""
    leaders.pop(item, None)
    if score is None:
        return False
    lowest = min(leaders.values(), default=score) if len(leaders) >= size else score
    if score < lowest:
        return False
    leaders[item] = score
    if len(leaders) > size:
        del leaders[max([name for name, worth in leaders.items() if worth == lowest])]
    return item in leaders
