"""The streaming predictor of stars."""

import numpy as np
import pytest

from operators.ratings import RatingModel, RatingSettings


def test_the_first_rating_is_the_start_and_the_scale_holds():
    model = RatingModel(RatingSettings(start=3.0))
    assert model.foresee("u", "i") == 3.0
    for number in range(50):
        model.learn("u", f"i{number}", 5.0)
        model.learn(f"u{number}", "i", 5.0)
    assert 4.5 < model.foresee("u", "i") <= 5.0


def test_biases_by_hand():
    settings = RatingSettings(start=3.0, user_shrink=1.0, item_shrink=1.0)
    model = RatingModel(settings)
    model.learn("u", "i", 5.0)
    # Mean 3 + 2/2 = 4; item and user both had a residual of 1 against it, shrunken to a half.
    assert model.baseline("u", "i") == pytest.approx(4 + 0.5 + 0.5)
    assert model.baseline("v", "i") == pytest.approx(4.5)
    assert model.baseline("v", "j") == pytest.approx(4.0)


def test_an_item_that_goes_with_what_the_user_liked_is_foreseen_higher():
    model = RatingModel()
    for number in range(40):
        stars = 5.0 if number % 2 else 1.0
        for item in ("a", "b"):
            model.learn(f"u{number}", item, stars)
        model.learn(f"u{number}", "c", 6.0 - stars)
    model.learn("fan", "a", 5.0)
    assert model.foresee("fan", "b") > model.baseline("fan", "b") + 0.3
    assert model.foresee("fan", "c") <= model.baseline("fan", "c") + 1e-9


def test_neighbours_beat_biases_and_biases_the_mean_where_tastes_differ():
    rng = np.random.default_rng(1)
    users, items = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    model, errors = RatingModel(), []
    for _ in range(6000):
        one, other = int(rng.integers(60)), int(rng.integers(50))
        user, item = f"u{one}", f"i{other}"
        stars = float(np.clip(3 + users[one] @ items[other], 0.5, 5))
        errors.append((stars - model.foresee(user, item), stars - model.baseline(user, item)))
        model.learn(user, item, stars)
    late = np.square(np.array(errors)[3000:]).mean(axis=0)
    assert late[0] < late[1] * 0.97


def test_cost_is_bounded_by_the_window():
    model = RatingModel(RatingSettings(window=5))
    for number in range(100):
        model.learn("u", f"i{number}", 4.0)
    assert len(model.recent["u"]) == 5
    assert len(model.pairs) == 5 * 100 - 15
