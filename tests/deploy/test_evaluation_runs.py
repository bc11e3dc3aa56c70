"""What is made of a run: protocols, settings searched, lists of a past moment.

The runner is the stages in this process; `tests/flink/test_evaluate.py` has the job itself.
"""

import json
import random
import tomllib

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.evaluation import console, evaluate, history, runner, tuning
from deploy.evaluation.evaluate import Options
from deploy.evaluation.sources import EvaluationError
from deploy.replay.options import Options as Reading
from jobs.settings import Recommend, load
from tests.deploy import in_memory

START_S = 1_500_000_000
READ = Reading(action="click")


class Quiet:
    """Shows nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, what, total):
        pass

    def __call__(self, done):
        pass


@pytest.fixture(autouse=True)
def _stages_in_this_process(monkeypatch):
    monkeypatch.setattr(runner, "run", in_memory.run)


@pytest.fixture
def clicks(tmp_path):
    """Users of two halves of a shop, who go through their half in the same order."""
    rng, rows = random.Random(1), ["user_id,item_id,event_time"]
    places = dict.fromkeys(range(20), 0)
    for turn in range(400):
        user = rng.randrange(20)
        item = user % 2 * 40 + (places[user] * 3 + user // 2) % 40
        places[user] += 1
        rows.append(f"u{user},i{item},{START_S + 10 * turn}")
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_split_judges_the_last_tenth_alone(clicks):
    whole = evaluate.evaluate(clicks, Options(read=READ), Quiet())
    split = evaluate.evaluate(clicks, Options(read=READ, protocol="split"), Quiet())
    part = next(one for one in whole.selections if one.name == "test")
    assert 0 < split.headline.rows == part.rows <= 40 < whole.headline.rows
    assert split.headline.hr == part.hr


def test_last_out_judges_each_user_once_behind_all_other_events(clicks):
    found = evaluate.evaluate(clicks, Options(read=READ, protocol="last-out"), Quiet())
    assert found.headline.rows == found.headline.users == found.data.held_out == 20


def test_the_same_evaluation_twice_is_the_same_report(clicks):
    one, other = (evaluate.evaluate(clicks, Options(read=READ), Quiet()) for _ in range(2))
    one.seconds = other.seconds = 0
    assert one == other


def test_a_job_setting_changes_the_run_and_is_in_the_report(clicks):
    options = Options(read=READ, overrides=["neighbours.damping=7"])
    found = evaluate.evaluate(clicks, options, Quiet())
    assert found.how.settings["neighbours"]["damping"] == 7


def test_shadows_of_the_settings_stand_in_the_table_with_what_is_different_about_them(clicks):
    shadows = ["shadows.frozen.weights.c0=4", "shadows.popular.kind='popular'", "shadows.same={}"]
    found = evaluate.evaluate(clicks, Options(read=READ, overrides=shadows), Quiet())
    lines = {one.name: one for one in found.models}
    served, same = lines["headwater"], lines["shadow same"]
    assert same.hr == served.hr
    assert (same.against.only_a, same.against.only_b, same.against.p_value) == (0, 0, 1.0)
    frozen, popular = lines["shadow frozen"], lines["shadow popular"]
    assert frozen.note == "kind ranked, weights c0 4.0"
    assert popular.hr.value < frozen.hr.value != served.hr.value
    gap = frozen.against
    hits = round(gap.difference.value * found.headline.rows)
    assert gap.only_a - gap.only_b == hits != 0


def test_nothing_to_judge_says_why_and_what_to_do(clicks):
    with pytest.raises(EvaluationError, match=r"no positive among 400 events: 0 are likes"):
        evaluate.evaluate(clicks, Options(read=READ, positive=9), Quiet())


def test_errors_are_one_text_and_exit_code_one(tmp_path):
    missing = CliRunner().invoke(app, ["evaluate", str(tmp_path / "none.csv")])
    assert missing.exit_code == 1
    assert "does not exist" in str(missing.exception)
    assert isinstance(missing.exception, console.work.EvaluationError.__mro__[1])


def test_a_search_looks_at_no_event_of_the_test_part(clicks, tmp_path):
    sent = []

    def run(folder, arguments, on_poll=None):
        sent.append(len((folder / "events").read_text().splitlines()))
        return in_memory.run(folder, arguments, on_poll)

    runner.run = run  # undone by the fixture
    space = tuning.only(["neighbours.damping"])
    found = tuning.tune(clicks, Options(read=READ), 3, space, Quiet())
    assert sent == [360, 360, 360]
    assert found.test_rows == 40
    assert found.trials[0].values == {"neighbours.damping": 100}
    assert found.found.value >= found.defaults.value or not found.best


def test_a_search_comes_again_with_its_seed_and_its_file_is_one_of_settings(clicks, tmp_path):
    space = tuning.only(["ranking.decay", "neighbours.rows_max"])
    one, again = (tuning.tune(clicks, Options(read=READ), 3, space, Quiet()) for _ in range(2))
    assert one == again
    one.best = one.best or one.trials[1].values
    file = tmp_path / "tuned.toml"
    file.write_text(tuning.as_toml(one, clicks, Options()))
    assert tomllib.loads(file.read_text())["recommend"]["ranking"].keys() == {"decay"}
    settings = load(Recommend, file)
    for name, value in one.best.items():
        assert tuning.value_of(settings, name) == value


def test_everything_in_the_space_is_a_setting_and_the_default_lies_inside():
    for name, span in tuning.SPACE.items():
        assert span.low <= tuning.value_of(Recommend(), name) <= span.high, name
    with pytest.raises(EvaluationError, match="--only speed: not searched; what is: neigh"):
        tuning.only(["speed"])


def at(clicks, user, at_ms):
    return history.list_at(clicks, ("default", user), at_ms, Options(read=READ), Quiet(), 10).shown


def test_a_past_list_knows_nothing_of_what_came_after(clicks, tmp_path):
    cut = tmp_path / "short.csv"
    cut.write_text("\n".join(clicks.read_text().splitlines()[:200]) + "\n")
    then_ms = (START_S + 10 * 198) * 1000
    past, now = at(clicks, "u3", then_ms), at(clicks, "u3", then_ms + 2_100_000)
    assert past.items
    assert past.fallback is None
    assert past == at(cut, "u3", then_ms)
    assert past.items != now.items
    assert past.as_of_ms <= then_ms < now.as_of_ms


def test_before_the_first_event_there_was_no_list_and_an_unknown_user_has_the_popular_one(clicks):
    with pytest.raises(EvaluationError, match=r"begins at 2017-07-14T02:40:00\+00:00"):
        at(clicks, "u3", 1000)
    assert "popular" in (at(clicks, "nobody", (START_S + 4000) * 1000).fallback or "")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2017-07-14T02:40:00", 1_500_000_000_000),
        ("2017-07-14T04:40+02:00", 1_500_000_000_000),
        ("2017-07-14", 1_499_990_400_000),
        ("1500000000000", 1_500_000_000_000),
    ],
)
def test_times_are_iso_or_milliseconds(text, ms):
    assert history.parse_time(text) == ms
    with pytest.raises(EvaluationError, match="--at noon: a time like"):
        history.parse_time("noon")


@pytest.fixture
def mapping(tmp_path):
    file = tmp_path / "mapping.toml"
    file.write_text('action = "click"\n')
    return str(file)


def headwater(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return done


def test_the_command_tune_writes_a_file_that_evaluate_takes(clicks, mapping, tmp_path):
    out, report = tmp_path / "tuned.toml", tmp_path / "report"
    told = headwater("tune", clicks, "--mapping", mapping, "--trials", 2, "--only",
                     "neighbours.damping", "--out", out)  # fmt: skip
    assert "2 trials on" in out.read_text()
    assert "2/2: HR" in told.stderr
    headwater("evaluate", clicks, "--mapping", mapping, "--protocol", "split", "--config", out,
              "--report", report)  # fmt: skip
    assert (report / "report.html").stat().st_size > 10_000


def test_the_command_history_shows_a_list_with_titles(clicks, mapping):
    shown = headwater("history", "u3", "--at", "2017-07-14T03:00", "--source", clicks,
                      "--mapping", mapping, "--json")  # fmt: skip
    found = json.loads(shown.stdout)
    assert found["user_id"] == "u3"
    assert found["as_of_ms"] <= 1_500_001_200_000
    assert found["items"]
