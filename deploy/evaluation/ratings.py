"""How far ratings can be foreseen, prequentially: each is foreseen, compared, then learned."""

import numpy as np
from msgspec import Struct

from deploy.evaluation.intervals import Bootstrap, Estimate
from deploy.evaluation.judged import Codes
from deploy.evaluation.metrics import Floats
from deploy.evaluation.stream import Events
from operators.ratings import RatingModel, RatingSettings

LIKE_STARS = 4.0


class RatingErrors(Struct, frozen=True, kw_only=True):
    """Errors in stars of the five-star scale.

    Attributes:
        rows: Ratings.
        mae: Mean absolute error.
        rmse: Root of the mean squared error, with the interval of its square.
        baseline_rmse: Of biases alone, without neighbours.
        mean_rmse: Of the mean of all ratings before, which knows neither user nor item.
        like_accuracy: Share of ratings that were foreseen on the right side of four stars
            (Herlocker et al., TOIS 2004, classification accuracy).
    """

    rows: int
    mae: Estimate
    rmse: Estimate
    baseline_rmse: float
    mean_rmse: float
    like_accuracy: float


def foresee_all(events: Events, seed: int, settings: RatingSettings) -> RatingErrors | None:
    """Errors over all ratings of a data set in order; None where there is none."""
    rows = np.flatnonzero(~np.isnan(events.stars))
    if not len(rows):
        return None
    model, total = RatingModel(settings), 0.0
    foreseen, base, means = (np.empty(len(rows)) for _ in range(3))
    stars, users = events.stars[rows], Codes()
    for number, row in enumerate(rows.tolist()):
        user, item, given = events.users[row], events.items[row], float(events.stars[row])
        foreseen[number] = model.foresee(user, item)
        base[number] = min(settings.high, max(settings.low, model.baseline(user, item)))
        means[number] = total / number if number else settings.start
        total += given
        model.learn(user, item, given)
    codes = np.array([users[events.users[row]] for row in rows.tolist()], np.int64)
    errors = foreseen - stars
    mae, square = Bootstrap(codes, seed).means([np.abs(errors), np.square(errors)])
    rmse = Estimate(*(float(np.sqrt(part)) for part in (square.value, square.low, square.high)))
    right = (foreseen >= LIKE_STARS) == (stars >= LIKE_STARS)
    return RatingErrors(
        rows=len(rows), mae=mae, rmse=rmse, baseline_rmse=_root(base - stars),
        mean_rmse=_root(means - stars), like_accuracy=float(right.mean()),
    )  # fmt: skip


def _root(errors: Floats) -> float:
    return float(np.sqrt(np.square(errors).mean()))
