from itertools import islice

import numpy as np
import pytest

from deploy.bench.options import Synthetic
from deploy.bench.synthetic import Population, Sessions
from deploy.bench.workload import SyntheticWorkload

RATE = 1000.0
COUNT = 100_000


def columns(settings: Synthetic, count: int = COUNT, rate: float = RATE):
    users, items, actions = [], [], []
    for chunk in Sessions(Population(settings), rate).chunks():
        users.append(chunk.users)
        items.append(chunk.items)
        actions.append(chunk.actions)
        if sum(map(len, users)) >= count:
            break
    return tuple(np.concatenate(parts)[:count] for parts in (users, items, actions))


def bodies(settings: Synthetic, count: int = 2000) -> list[bytes]:
    events = SyntheticWorkload(settings, "t", RATE).events()
    return [record.body for record in islice(events, count)]


def test_equal_seeds_give_equal_events_and_other_seeds_others() -> None:
    assert bodies(Synthetic(seed=7)) == bodies(Synthetic(seed=7))
    assert bodies(Synthetic(seed=7)) != bodies(Synthetic(seed=8))


def test_event_ids_are_all_different() -> None:
    made = bodies(Synthetic(users=10, items=50), 5000)
    assert len({body.partition(b'"event_id":"')[2][:18] for body in made}) == len(made)


def test_item_popularity_follows_zipf() -> None:
    settings = Synthetic(items=1000, zipf=1.0, loyalty=0.0)
    _, items, _ = columns(settings)
    seen = np.bincount(items, minlength=1000) / COUNT
    expected = Population(settings).item_shares
    assert expected.max() == pytest.approx(1 / np.sum(1 / np.arange(1, 1001)))
    for rank in np.argsort(-expected)[:20]:
        # Five standard deviations of a count.
        assert abs(seen[rank] - expected[rank]) < 5 * np.sqrt(expected[rank] / COUNT)


def test_loyal_users_stay_in_their_clusters_and_prefer_the_first() -> None:
    settings = Synthetic(loyalty=1.0, zipf=0.0)
    population = Population(settings)
    users, items, _ = columns(settings)
    places = population.cluster_of[items][:, None] == population.preferred[users]
    assert places.any(axis=1).all()
    shares = places.mean(axis=0)
    assert shares == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.02)


def test_disloyal_users_go_everywhere() -> None:
    settings = Synthetic(loyalty=0.0, zipf=0.0, clusters=50)
    population = Population(settings)
    users, items, _ = columns(settings)
    inside = (population.cluster_of[items][:, None] == population.preferred[users]).any(axis=1)
    assert inside.mean() == pytest.approx(3 / 50, abs=0.01)


def test_items_of_a_cluster_occur_together_more_often_than_by_chance() -> None:
    settings = Synthetic(zipf=0.0)
    population = Population(settings)
    users, items, _ = columns(settings)
    order = np.argsort(users, kind="stable")
    user, cluster = users[order], population.cluster_of[items[order]]
    same_user = user[1:] == user[:-1]
    together = (cluster[1:] == cluster[:-1])[same_user].mean()
    assert together > 10 / settings.clusters


def test_events_of_a_session_are_a_few_seconds_apart() -> None:
    # Of so many users hardly any comes twice, so neighbours in time are of one session.
    settings = Synthetic(users=2_000_000, user_zipf=0.0, gap_s=5.0, session_events=4.0, clusters=3)
    users, _, _ = columns(settings, 50_000)
    order = np.lexsort((np.arange(len(users)), users))
    gaps_s = np.diff(order)[users[order][1:] == users[order][:-1]] / RATE
    assert np.median(gaps_s) == pytest.approx(5.0 * np.log(2), rel=0.2)


def test_sessions_have_the_mean_length_from_the_first_event_on() -> None:
    settings = Synthetic(users=2_000_000, user_zipf=0.0, session_events=4.0, gap_s=0.5, clusters=3)
    users, _, _ = columns(settings)
    assert COUNT / len(np.unique(users)) == pytest.approx(4.0, rel=0.08)


def test_actions_have_their_frequencies() -> None:
    settings = Synthetic(actions={"view": 3.0, "click": 1.0})
    _, _, actions = columns(settings)
    assert np.bincount(actions) / COUNT == pytest.approx([0.75, 0.25], abs=0.01)


def test_some_users_come_far_more_often_than_others() -> None:
    users, _, _ = columns(Synthetic(users=1000, user_zipf=0.8))
    seen = np.sort(np.bincount(users, minlength=1000))
    assert seen[-10:].sum() > 10 * seen[:10].sum()


def test_more_clusters_than_items_are_refused() -> None:
    with pytest.raises(ValueError, match="clusters 50, items 49"):
        Synthetic(items=49)
