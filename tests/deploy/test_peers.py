"""`headwater peers`: the data set as the peers get it, their environments, runs, results."""

import ast
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from deploy.errors import HeadwaterError
from deploy.evaluation import peers as evaluation_peers
from deploy.peers import environments, parameters
from deploy.peers.command import register
from deploy.peers.interactions import interactions
from deploy.peers.programs.catalogue import PROGRAMS
from deploy.peers.results import Errors, Result, hit_rate, ndcg, read_all, write
from deploy.peers.running import Job
from deploy.peers.tuning import Trial, Tuning, validation_part
from deploy.replay.readers import open_source
from operators.events import Interaction, Item
from operators.strengths import Strengths

PEERS = Path(environments.__file__).parent


def event(number: int, **fields) -> Interaction:
    given = {"user_id": "u", "item_id": f"i{number}", "action": "click", "event_id": f"e{number}"}
    return Interaction(event_time=number, **(given | fields))


def test_interactions_are_coded_by_appearance_with_the_strengths_of_the_job():
    given = interactions(
        [
            Item(item_id="b", title="b", event_time=1),
            event(1, item_id="b", action="rating", value=3.5),
            event(2, item_id="a", user_id="v", action="rating", value=4.0),
            event(3, item_id="b", user_id="v", action="view"),
            event(4, item_id="a", action="hide"),
        ],
        Strengths(view=6, like_min=5),
    )
    stream = given.stream
    assert given.event_ids == ["e1", "e2", "e3", "e4"]
    assert stream.users.tolist() == [0, 1, 1, 0]
    assert stream.items.tolist() == [0, 1, 0, 1]
    assert stream.strengths.tolist() == [7, 8, 6, 0]
    assert stream.likes.tolist() == [False, True, True, False]
    assert stream.ratings.tolist()[:2] == [3.5, 4.0]
    assert stream.times.tolist() == [1, 2, 3, 4]
    assert given.has_ratings


def test_what_the_job_leaves_out_is_left_out():
    given = interactions(
        [
            event(1),
            event(1, item_id="other"),
            event(2, action="search", text="lamp", item_id=None),
            event(3, action="satisfaction", value=4.0),
            event(4, consent=False),
            event(5, consent=False, session_id="s"),
        ],
        Strengths(),
    )
    assert given.event_ids == ["e1", "e5"]
    assert given.stream.users.tolist() == [0, 1], "without consent it is the session's"
    assert not given.has_ratings


def test_a_data_set_without_interactions_is_an_error():
    with pytest.raises(HeadwaterError, match="nothing to compare"):
        interactions([event(1, action="search", text="x", item_id=None)], Strengths())


def test_the_ids_are_those_of_the_reader(ratings: Path):
    source = open_source(ratings)
    ids = [record.event_id for record in source.records() if isinstance(record, Interaction)]
    assert interactions(source.records(), Strengths()).event_ids == ids


def test_figures_by_hand():
    outcomes = [("a", 1), ("b", 3), ("c", None), ("d", 11)]
    assert hit_rate(outcomes, 10) == 0.5
    assert ndcg(outcomes, 10) == (1 + 0.5) / 4
    assert hit_rate([], 10) == ndcg([], 10) == 0.0


def test_results_come_back_as_they_were(tmp_path: Path):
    with_lists = Result(
        name="ease", version="scipy 1", parameters={"a": 1}, every=5, seconds_cpu=1.5,
        seconds_wall=2.5, coverage=0.5, outcomes=[("e1", 3), ("e2", None)],
    )  # fmt: skip
    with_stars = Result(
        name="svd", version="s 1", parameters={}, every=5, seconds_cpu=1.0, seconds_wall=1.0,
        errors=Errors(mae=0.5, rmse=0.75, ratings=10),
    )  # fmt: skip
    for result in (with_stars, with_lists):
        write(result, tmp_path)
    assert read_all(tmp_path) == [with_lists, with_stars]
    assert [one.name for one in evaluation_peers.read(tmp_path)] == ["ease"], "the one with lists"
    written = json.loads((tmp_path / "ease.json").read_text())
    assert written["outcomes"] == [["e1", 3], ["e2", None]]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(HeadwaterError, match=r"other\.json is no result"):
        read_all(tmp_path)


def test_every_peer_has_settings_and_an_environment():
    settings = parameters.read()
    assert set(settings) == set(PROGRAMS)
    assert {one.environment for one in settings.values()} <= {"main", *environments.names()}
    for name, one in settings.items():
        legal = fields_of(name)
        assert {*one.parameters, *one.grid} <= legal, name


def fields_of(name: str) -> set[str]:
    """Parameters of a peer, read from its source: its library need not be here."""
    program = PROGRAMS[name]
    tree = ast.parse((PEERS / "programs" / f"{program.module}.py").read_text())
    found = next(n for n in tree.body if getattr(n, "name", "") == program.parameters)
    return {n.target.id for n in found.body if isinstance(n, ast.AnnAssign)}


def test_candidates_are_the_parameters_and_all_combinations():
    settings = parameters.PeerSettings(
        environment="main", parameters={"a": 1, "b": 2, "c": 9}, grid={"a": [1, 3], "b": [2, 4]}
    )
    assert settings.candidates() == [
        {"a": 1, "b": 2, "c": 9},
        {"a": 1, "b": 4, "c": 9},
        {"a": 3, "b": 2, "c": 9},
        {"a": 3, "b": 4, "c": 9},
    ]


@pytest.mark.parametrize(
    ("trainings", "asked", "every"),
    [(25, None, 4000), (400, None, 500), (25, 70, 70), (None, 70, 100_000)],
)
def test_how_often_a_peer_is_trained(trainings, asked, every):
    settings = parameters.PeerSettings(environment="main", trainings=trainings)
    assert settings.every(100_000, asked) == every


def test_the_validation_part_is_early_and_is_tuned_on_alone():
    job = Job(peer="ease", stream=Path("s"), until=1000, every=10, parameters=[{}])
    part = validation_part(job)
    assert (part.first, part.until, part.every) == (100, 300, 10)


def test_the_best_trial_has_the_most_hits_or_the_least_error():
    trials = [Trial(parameters={"n": n}, score=s, seconds_cpu=0) for n, s in enumerate([2, 3, 3])]
    assert Tuning(metric="hr@10", trials=trials).best.parameters == {"n": 1}
    assert Tuning(metric="rmse", trials=trials).best.parameters == {"n": 0}


def test_programs_import_nothing_of_the_project():
    for path in (PEERS / "programs").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] not in {"deploy", "jobs", "operators", "udfs"}
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), path


@pytest.mark.parametrize("name", environments.names())
def test_a_lock_is_hashed_and_names_no_address(name: str):
    text = (environments.LOCKS / f"{name}.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block.splitlines()[0])


def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    (tmp_path / "empty.lock").write_text("# nothing\n")
    told: list[str] = []
    home = tmp_path / "home"
    python = environments.python_of("empty", home, told.append)
    assert python.exists()
    assert environments.python_of("empty", home, told.append) == python
    assert len(told) == 1
    (tmp_path / "empty.lock").write_text("# changed\n")
    environments.python_of("empty", home, told.append)
    assert len(told) == 2
    assert environments.python_of("main", home, told.append) == Path(sys.executable)


def test_an_environment_that_cannot_be_made_says_why_and_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    (tmp_path / "broken.lock").write_text("not a requirement ==\n")
    for _ in range(2):
        with pytest.raises(HeadwaterError, match=r"broken\.lock"):
            environments.python_of("broken", tmp_path / "home", lambda text: None)


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """Twenty users with twelve of fifteen films each, four stars for even ones."""
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(20):
        for step in range(12):
            film = (user + step) % 15
            lines.append(f"{user},{film},{4 + film % 2 * -2},{1000 * step + user}")
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def invoke(*arguments: object):
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["peers", *map(str, arguments)])


def test_peers_run_from_the_command_line_to_their_files(ratings: Path, tmp_path: Path):
    out = tmp_path / "out"
    result = invoke(
        ratings, "--only", "popularity,item-knn,ease", "--every", "50", "--out", out, "--tune"
    )
    assert result.exit_code == 0, result.output
    assert "240 interactions, 20 users, 15 items" in result.output
    found = {one.name: one for one in read_all(out)}
    assert set(found) == {"popularity", "item-knn", "ease"}
    assert found["ease"].every == 50
    events = [list(dict(one.outcomes)) for one in found.values()]
    assert events[0] == events[1] == events[2], "all peers foretell the same events"
    assert len(events[0]) > 50
    assert all(one.seconds_cpu > 0 for one in found.values())
    shown = re.search(r"ease +([01]\.\d+)", result.output)
    assert shown
    assert float(shown[1]) == pytest.approx(hit_rate(found["ease"].outcomes, 10), abs=5e-5)
    tuning = msgspec.json.decode((out / "work" / "ease.tuning").read_bytes(), type=Tuning)
    assert tuning.best.parameters == found["ease"].parameters
    assert found["ease"].tuned_on == "the interactions from 10% to 30% of the stream"
    assert found["ease"].note == "trained every 50 interactions on all before"
    assert found["item-knn"].note == "learns every event"
    assert len(tuning.trials) == len(parameters.read()["ease"].candidates())


def test_the_same_stream_gives_the_same_outcomes(ratings: Path, tmp_path: Path):
    runs = []
    for name in ("a", "b"):
        invoke(ratings, "--only", "ease", "--every", "50", "--out", tmp_path / name)
        runs.append(read_all(tmp_path / name)[0].outcomes)
    assert runs[0] == runs[1]


def test_a_peer_that_fails_says_why_and_stops_no_other(ratings: Path, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[item-knn]\nenvironment = "main"\nparameters = { shrimk = 1 }\n'
        '[popularity]\nenvironment = "main"\n'
    )
    result = invoke(ratings, "--parameters", file, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "item-knn ended with code 1" in result.output
    assert "shrimk" in result.output
    assert [one.name for one in read_all(tmp_path / "out")] == ["popularity"]


def test_stars_are_not_foretold_where_there_are_none(tmp_path: Path):
    clicks, mapping = tmp_path / "clicks.csv", tmp_path / "clicks.toml"
    clicks.write_text("user_id,item_id,event_time\na,i,1\na,j,2\nb,i,3\nb,j,4\n")
    mapping.write_text('action = "click"\n')
    result = invoke(
        clicks, "--mapping", mapping, "--only", "svd,popularity", "--out", tmp_path / "out"
    )
    assert "svd: it foretells stars, and the data set has none" in result.output
    assert result.exit_code == 0
    assert read_all(tmp_path / "out")[0].outcomes == [
        ("ev-a-j-click-2000", None),
        ("ev-b-j-click-4000", 1),
    ]


def test_an_unknown_peer_is_a_sentence(ratings: Path):
    result = invoke(ratings, "--only", "eaes")
    assert isinstance(result.exception, HeadwaterError)
    assert "no peer is named eaes; peers are popularity," in str(result.exception)
