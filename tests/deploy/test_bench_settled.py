from typing import Any

from deploy.bench.settled import Rows, compare, settle

TOTALS = {"a": (3, 1000), "b": (1, 2000)}
GOOD = {"a": Rows(3, 1000, 1001), "b": Rows(1, 2000, 2000)}


def test_all_sent_and_read_is_complete() -> None:
    found = compare(TOTALS, GOOD)
    assert found.complete
    assert (found.users, found.sent, found.counted) == (2, 4, 4)


def test_lost_and_doubled_events_do_not_cancel_out() -> None:
    found = compare(TOTALS, {"a": Rows(2, 1000, 1000), "b": Rows(2, 2000, 2000)})
    assert (found.sent, found.counted) == (4, 4)
    assert (found.lost, found.doubled) == (1, 1)
    assert not found.complete


def test_missing_rows_are_told_apart() -> None:
    found = compare(TOTALS, {"a": Rows(None, None, 1000), "b": Rows(1, 2000, None)})
    assert (found.without_profile, found.without_list, found.lost) == (1, 1, 3)
    assert (found.profiles_behind, found.lists_behind) == (1, 0)


def test_a_profile_behind_is_incomplete_and_a_list_behind_is_told() -> None:
    behind = compare(TOTALS, {**GOOD, "a": Rows(3, 999, 1000)})
    assert (behind.profiles_behind, behind.complete) == (1, False)
    same_list = compare(TOTALS, {**GOOD, "a": Rows(3, 1000, 999)})
    assert (same_list.lists_behind, same_list.complete) == (1, True)


class Later:
    """Rows that come one look after the other."""

    def __init__(self, *looks: dict[str, Rows]) -> None:
        self.looks = list(looks)
        self.asked: list[list[str]] = []

    def rows(self, users: list[str]) -> dict[str, Rows]:
        self.asked.append(users)
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {user: look[user] for user in users}


def settled(reader: Any, patience_s: float = 60.0) -> Any:
    now = [0.0]
    return settle(
        reader, TOTALS, patience_s,
        clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s),
    )  # fmt: skip


def test_only_what_was_wrong_is_looked_at_again() -> None:
    reader = Later({**GOOD, "a": Rows(2, 900, 900)}, GOOD)
    found = settled(reader)
    assert found.complete
    assert found.settled_s == 2.0
    assert reader.asked == [["a", "b"], ["a"]]


def test_what_does_not_come_is_told_after_the_patience() -> None:
    found = settled(Later({**GOOD, "b": Rows(None, None, None)}), 10.0)
    assert not found.complete
    assert found.settled_s == 12.0
    assert (found.lost, found.without_list) == (1, 1)
