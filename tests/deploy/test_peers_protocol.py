"""Predict, then learn: the protocol of the peers, against tables worked out by hand."""

import numpy as np
import pytest

from deploy.peers.programs.catalogue import make
from deploy.peers.programs.ease import solve
from deploy.peers.programs.past import HISTORY, Past
from deploy.peers.programs.prequential import Batch, Prequential, top
from deploy.peers.programs.stream import Stream

DAY_MS = 86_400_000


def stream(rows, times=None) -> Stream:
    """Interactions `user item strength`, liked from 8 on."""
    cells = np.array([row.split() for row in rows], np.int64).reshape(len(rows), 3)
    return Stream(
        users=cells[:, 0].astype(np.int32),
        items=cells[:, 1].astype(np.int32),
        strengths=cells[:, 2].astype(np.int8),
        likes=cells[:, 2] >= 8,
        ratings=(cells[:, 2] / 2).astype(np.float32),
        times=np.arange(len(rows)) * 1000 if times is None else np.array(times, np.int64),
    )


def measure(name: str, given: Stream, every: int = 1000, first: int = 0, **parameters):
    past = Past(given)
    return Prequential(make(name, past, parameters), past).run(every=every, first=first)


# User 0 likes items 0, 1, 2; user 1 likes 0 and is to get 1, then 2; user 2 begins with a new item.
SMALL = ["0 0 10", "0 1 10", "0 2 8", "1 0 10", "1 1 9", "1 2 3", "2 3 10", "2 1 8", "2 0 10"]


def test_popularity_by_hand():
    # row 1: item 1 is new to all: a miss; row 2 likewise; row 4: likes are 0:2, 1:1, 2:1 and user 1
    # has 0, so 1 (older than 2) is first; row 5 is no like; row 7: likes 0:2, 1:2, 2:1, so 1 is
    # second; row 8: 1 is known, 0 is first.
    measured = measure("popularity", stream(SMALL))
    assert measured.rows == [1, 2, 4, 7, 8]
    assert measured.ranks == [0, 0, 1, 2, 1]


def test_items_shown_are_those_of_any_list():
    # Nothing is left to show at rows 1 and 2; then 1 and 2, then 0, 1, 2, then 0 and 2.
    assert measure("popularity", stream(SMALL)).items_shown == 3


def test_the_first_ones_are_learned_and_not_foretold():
    measured = measure("popularity", stream(SMALL), first=5)
    assert (measured.rows, measured.ranks) == ([7, 8], [2, 1])


def test_a_like_counts_half_after_the_half_life():
    # Item 0 has two likes of the first day, item 1 one like a day later: 2 halves against 1. With
    # a shorter half-life item 1 leads, with a longer one item 0.
    rows = ["0 0 10", "1 0 10", "2 1 10", "3 2 10", "3 1 10"]
    times = [0, 0, DAY_MS, DAY_MS, DAY_MS]
    assert measure("popularity-decayed", stream(rows, times), half_life_days=0.9).ranks == [1]
    assert measure("popularity-decayed", stream(rows, times), half_life_days=1.1).ranks == [2]
    # Decades in half-lives of a day overflow a float unless they are scaled.
    times = [0, 0, 20_000 * DAY_MS, 20_000 * DAY_MS, 20_000 * DAY_MS]
    assert measure("popularity-decayed", stream(rows, times), half_life_days=1.0).ranks == [1]


def test_item_knn_by_hand():
    # After row 5: G[0,1] = 1, G[0,2] = .8, G[1,2] = .8; norms 0:1, 1:1, 2:.64.
    rows = ["0 0 10", "0 1 10", "0 2 8", "1 3 10", "1 0 10", "2 0 10", "2 2 8"]
    past = Past(stream(rows))
    peer = make("item-knn", past, {"shrink": 0.5, "recency": 0.5, "window": 20})
    for _ in range(6):
        event = past.next_event()
        peer.learn(event)
        past.add(event)
    squares = {0: 3.0, 1: 1.0, 2: 0.64, 3: 1.0}
    similar = {
        1: 1.0 / (np.sqrt(squares[0] * squares[1]) + 0.5),
        2: 0.8 / (np.sqrt(squares[0] * squares[2]) + 0.5),
        3: 1.0 / (np.sqrt(squares[0] * squares[3]) + 0.5),
    }
    assert peer.scores(2) == pytest.approx([0.0, *similar.values()])
    # User 1 has 0 newest, then 3, which fades by half: 3 is paired with 0 alone.
    assert peer.scores(1)[1] == pytest.approx(similar[1])
    assert peer.scores(1)[0] == pytest.approx(0.5 * similar[3])


def test_a_window_pairs_with_the_newest_items_alone():
    rows = ["0 0 10", "0 1 10", "0 2 10", "1 2 10"]
    past = Past(stream(rows))
    peer = make("item-knn", past, {"shrink": 0.0, "window": 1})
    for _ in rows:
        event = past.next_event()
        peer.learn(event)
        past.add(event)
    assert peer.scores(1) == pytest.approx([0.0, 1 / np.sqrt(2), 0.0])


def test_ease_is_the_formula_of_its_paper():
    rows = ["0 0 10", "0 1 10", "1 0 10", "1 2 8", "2 1 10", "2 2 10", "3 0 10"]
    past = Past(stream(rows))
    peer = make("ease", past, {"regularization": 0.5, "recency": 1.0, "window": 50})
    for _ in rows:
        event = past.next_event()
        peer.learn(event)
        past.add(event)
    x = np.array([[1, 1, 0], [1, 0, 0.8], [0, 1, 1], [1, 0, 0]])
    inverse = np.linalg.inv(x.T @ x + 0.5 * np.eye(3))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    assert peer.scores(3) is None, "nothing is known before the first training"
    peer.train()
    for user in range(4):
        assert peer.scores(user) == pytest.approx(x[user] @ weights, abs=1e-5)


def test_a_matrix_of_a_window_that_is_not_positive_definite_is_inverted_all_the_same():
    gram = np.array([[1, 2, 0], [2, 1, 1], [0, 1, 3]], np.float32)
    regularized = gram + 0.5 * np.eye(3)
    assert np.linalg.eigvalsh(regularized).min() < 0
    inverse = np.linalg.inv(regularized)
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert solve(gram.copy(), 0.5) == pytest.approx(expected, abs=1e-5)


def test_ease_solves_for_the_items_that_matter_most():
    rows = ["0 0 10", "0 1 10", "1 0 10", "1 1 8", "1 2 3"]
    past = Past(stream(rows))
    peer = make("ease", past, {"items_max": 2, "regularization": 1.0})
    for _ in rows:
        event = past.next_event()
        peer.learn(event)
        past.add(event)
    peer.train()
    scores = peer.scores(0)
    assert len(scores) == 3
    assert (scores[:2] > 0).all()
    assert scores[2] == 0


def test_what_a_user_knows_and_what_nobody_knows_is_never_listed():
    random = np.random.default_rng(7)
    rows = [f"{u} {i} {s}" for u, i, s in random.integers((0, 0, 1), (12, 30, 11), (400, 3))]
    codes: dict[str, int] = {}
    rows = [f"{u} {codes.setdefault(i, len(codes))} {s}" for u, i, s in (r.split() for r in rows)]
    past = Past(stream(rows))
    run = Prequential(make("item-knn", past, {}), past)
    for _ in rows:
        event = past.next_event()
        listed = run.list_of(event.user).tolist() if past.likes(event.user) else []
        assert not set(listed) & set(past.touched(event.user).tolist())
        assert len(set(listed)) == len(listed)
        assert all(item < past.items for item in listed)
        run.peer.learn(event)
        past.add(event)


def test_equal_scores_go_by_likes_then_by_age():
    scores = np.array([0.0, 2.0, 0.0, 0.0, -np.inf, 0.0])
    popularity = np.array([1, 0, 3, 3, 9, 2])
    assert top(scores, popularity, 4).tolist() == [1, 2, 3, 5]
    assert top(scores, popularity, 50).tolist() == [1, 2, 3, 5, 0]


def test_a_score_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="diverged"):
        top(np.array([0.0, np.nan]), np.zeros(2, np.int64), 10)


class Recorder(Batch):
    """Notes how much had happened when it was trained, and expects three stars of everybody."""

    def __init__(self, past: Past):
        self.past, self.trained_at = past, []

    def train(self):
        self.trained_at.append(self.past.count)

    def scores(self, user):
        return None

    def expects(self, event):
        return 3.0


def test_a_peer_is_trained_every_so_many_and_asked_for_stars_before_it_learns():
    past = Past(stream(SMALL))
    peer = Recorder(past)
    measured = Prequential(peer, past).run(every=3)
    assert peer.trained_at == [3, 6]
    stars = np.array([5, 5, 4, 5, 4.5, 1.5, 5, 4, 5])
    assert measured.ratings == 9
    assert measured.absolutes == pytest.approx(abs(stars - 3).sum())
    assert measured.squares == pytest.approx(((stars - 3) ** 2).sum())


def test_a_repeat_moves_an_item_to_the_front_and_only_a_stronger_one_counts():
    past = Past(stream(["0 0 10", "0 1 4", "0 0 3", "0 1 8"]))
    peer = make("item-knn", past, {"shrink": 0.0})
    for expected in ([0], [1, 0], [0, 1], [1, 0]):
        event = past.next_event()
        peer.learn(event)
        past.add(event)
        items, strengths = past.history(0)
        assert items.tolist() == expected
    assert strengths.tolist() == [0.8, 1.0]
    # G[0, 1] = .4 at first, and .4 more with the stronger action: what one visit of .8 had given.
    assert peer.scores(0) == pytest.approx([0.8 * 1.0, 0.9 * 1.0])


def test_a_history_holds_the_newest_fifty():
    past = Past(stream([f"0 {item} 9" for item in range(HISTORY + 5)]))
    for _ in range(HISTORY + 5):
        past.add(past.next_event())
    items, _ = past.history(0)
    assert items.tolist() == list(range(HISTORY + 4, 4, -1))
    assert past.history(0, 3)[0].tolist() == [HISTORY + 4, HISTORY + 3, HISTORY + 2]
    assert len(past.touched(0)) == HISTORY + 5
