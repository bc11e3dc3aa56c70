from collections import Counter, defaultdict

import pytest

from deploy.bench.cohorts import (
    FULL,
    GROUPS,
    LONG,
    POPULAR,
    RARE,
    SHORT,
    Cohorts,
    CohortsWorkload,
    Touch,
    surroundings,
)
from deploy.bench.options import Shape
from deploy.bench.workload import Ready

SHAPE = Shape(
    rate_per_s=60.0, phase_s=5.0, rounds=2, age_s=5.0, active=6, per_user=5, heavy=200, full=25,
    light=4, items=800, popular=20, builders=300,
)  # fmt: skip


@pytest.fixture(scope="module")
def cohorts() -> Cohorts:
    return Cohorts(SHAPE)


def histories(touches: list[Touch]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for touch in touches:
        found[touch.user].append(touch.item)
    return found


def test_equal_seeds_give_equal_events() -> None:
    assert list(Cohorts(SHAPE, 3).touches()) == list(Cohorts(SHAPE, 3).touches())
    assert list(Cohorts(SHAPE, 3).touches()) != list(Cohorts(SHAPE, 4).touches())


def test_no_user_gets_an_item_twice(cohorts: Cohorts) -> None:
    for items in histories(list(cohorts.touches())).values():
        assert len(set(items)) == len(items)


def test_each_phase_has_the_users_with_the_history_it_names(cohorts: Cohorts) -> None:
    before = Counter(touch.user for touch in cohorts.warmup())
    for group, round_ in cohorts.phases():
        users = {touch.user for touch in cohorts.phase(group, round_)}
        assert {before[user] for user in users} == {cohorts.history(group)}
    assert (cohorts.history(LONG), cohorts.history(SHORT), cohorts.history(RARE)) == (200, 4, 25)


def test_in_every_group_equally_many_users_are_active_at_a_time(cohorts: Cohorts) -> None:
    for group in GROUPS:
        touches = list(cohorts.phase(group, 1))
        assert len(touches) == SHAPE.phase_events
        for start in range(0, len(touches), SHAPE.active):
            assert len({touch.user for touch in touches[start : start + SHAPE.active]}) == 6


def test_users_that_take_turns_do_so_after_their_events(cohorts: Cohorts) -> None:
    for group in (FULL, SHORT, RARE, POPULAR):
        counts = Counter(touch.user for touch in cohorts.phase(group, 0))
        assert set(counts.values()) == {SHAPE.per_user}


def test_rounds_have_other_users_and_rare_items_are_never_used_before(cohorts: Cohorts) -> None:
    used = {touch.item for touch in cohorts.warmup()}
    for round_ in range(SHAPE.rounds):
        rare = Counter(touch.item for touch in cohorts.phase(RARE, round_))
        assert not used & rare.keys()
        assert set(rare.values()) == {3}
        used |= rare.keys()
    assert max(used) < cohorts.item_count
    first, second = ({touch.user for touch in cohorts.phase(FULL, n)} for n in (0, 1))
    assert not first & second


def test_popular_items_have_more_users_and_neighbours_than_ordinary_ones(
    cohorts: Cohorts,
) -> None:
    warmup = cohorts.warmup()

    def around(group: str) -> tuple[float, float]:
        return surroundings(warmup, [touch.item for touch in cohorts.phase(group, 0)], 20)

    assert around(POPULAR)[0] > around(FULL)[0] > around(RARE)[0] == 0
    assert around(POPULAR)[1] > around(FULL)[1] > around(RARE)[1] == 0


def test_surroundings_are_those_inside_the_pair_window() -> None:
    before = [Touch(1, 10), Touch(1, 11), Touch(2, 12), Touch(1, 13), Touch(2, 10)]
    assert surroundings(before, [10], window=2) == (3.0, 2.0)
    assert surroundings(before, [10], window=1) == (2.0, 2.0)
    assert surroundings(before, [10, 12, 10], window=1) == (1.5, 1.5)


def test_the_workload_sends_all_touches_in_order(cohorts: Cohorts) -> None:
    workload = CohortsWorkload(SHAPE, 1, "bench")
    events = list(workload.events())
    touches = list(cohorts.touches())
    assert len(events) == len(touches)
    assert all(isinstance(one, Ready) for one in events)
    assert events[5].subject == f"u{touches[5].user:07d}"
    assert sum(1 for _ in workload.catalogue()) == cohorts.item_count


def test_a_history_longer_than_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="a user with a long history touches"):
        Shape(items=5_000)
    with pytest.raises(ValueError, match="per_user 60 is more than the 50 popular items"):
        Shape(per_user=60)
