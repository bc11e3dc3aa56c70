"""The demonstration: who clicks on what, what is compared, when it counts as shown."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from rich.console import Console
from typer.testing import CliRunner

from deploy import demonstration as demo
from deploy import demonstration_texts as texts
from deploy.cli import app
from deploy.demonstration import DemoError, Taste
from deploy.doctor import Check
from deploy.replay.readers import open_source
from deploy.serving import view
from deploy.serving.store import ItemFacts, Profile, Weighted
from deploy.stack import Stack, StackSettings
from jobs.settings import Kafka
from operators.events import Border, Interaction, Rejected, parse_event
from tests.deploy.rows import AS_OF_MS, MemoryStore, item, own, stored


def taste(**films: set[str]) -> Taste:
    counts = sorted({film for rated in films.values() for film in rated})
    return Taste(films=films, users=sorted(films), by_popularity=counts)


def many(count: int) -> set[str]:
    return {f"f{number}" for number in range(count)}


def test_the_data_set_tells_who_rated_what_and_which_films_are_known(tmp_path: Path):
    file = tmp_path / "ratings.csv"
    file.write_text("userId,movieId,rating,timestamp\n1,10,4,5\n2,10,5,9\n1,20,3,7\n2,30,3,6\n")
    found = demo.taste_of(open_source(tmp_path))
    assert found.films == {"1": {"10", "20"}, "2": {"10", "30"}}
    assert found.users == ["2", "1"]
    assert found.by_popularity == ["10", "20", "30"]


def test_the_newest_user_of_a_middling_history_clicks():
    found = Taste(
        films={"a": many(10), "b": many(60), "c": many(70)}, users="abc", by_popularity=()
    )
    assert demo.choose_user(found, None) == "b"
    assert demo.choose_user(found, "c") == "c"


def test_a_user_the_data_set_does_not_have_is_refused():
    with pytest.raises(DemoError, match="no user '9'"):
        demo.choose_user(taste(a={"f"}), "9")


def neighbours(**rows: list[tuple[str, float]]):
    made = {f: stored(*(item(i, score) for i, score in row)) for f, row in rows.items()}
    return made.get


def film(found: Taste, similar, untouched=lambda _: True, listed=()):
    return demo.choose_film(found, "u", similar, untouched, listed)


NEAR = [(f"n{number}", 0.1) for number in range(demo.NEIGHBOURS_MIN)]
FAR = [(f"m{number}", 0.2) for number in range(demo.NEIGHBOURS_MIN)]


def test_the_film_is_new_to_the_user_and_changes_the_list_the_most():
    found = taste(u={"rated"}, v={"rated", "weak", "strong"})
    similar = neighbours(rated=FAR, weak=NEAR, strong=FAR)
    assert film(found, similar) == "strong"
    assert film(found, similar, untouched=lambda one: one != "strong") == "weak"


def test_neighbours_that_are_shown_already_change_nothing():
    found = taste(u=set(), v={"weak", "strong"})
    similar = neighbours(weak=NEAR, strong=FAR)
    assert film(found, similar, listed=[name for name, _ in FAR]) == "weak"


def test_a_film_with_too_few_new_neighbours_is_not_chosen():
    found = taste(u={name for name, _ in FAR}, v={"strong"})
    with pytest.raises(DemoError, match="no film is left"):
        film(found, neighbours(strong=FAR))


def test_the_event_keeps_the_contract():
    raw = json.dumps(demo.like("42", "2571", 1_700_000_000_000)).encode()
    event = parse_event(raw, 1_700_000_000_000, Border())
    assert not isinstance(event, Rejected)
    assert isinstance(event, Interaction)
    assert (event.user_id, event.item_id, event.action) == ("42", "2571", "like")


def shown(*names: str):
    row = own(*(item(name, 1.0) for name in names))
    return view.user_list(("t", "u", "home"), row, None, {}, exclude=(), top=10, now_ms=AS_OF_MS)


def test_places_are_compared():
    before, after = shown("a", "b", "c", "d"), shown("c", "new", "a", "d")
    assert demo.moves(before.items, after.items) == {"c": "↑2", "new": "new", "a": "↓2", "d": ""}


@pytest.mark.parametrize(
    ("after", "good", "told"),
    [
        (("a", "x"), True, ""),
        (("b", "a"), True, ""),
        (("a", "b"), False, "has not changed"),
        (("a", "clicked"), False, "the list holds what the user knows: clicked"),
    ],
)
def test_it_counts_if_the_list_is_another_one_and_holds_nothing_known(after, good, told, capsys):
    found = demo._judged(shown("a", "b"), shown(*after), {"clicked", "z"}, Console())
    assert found is good
    assert told in capsys.readouterr().out


def test_a_list_is_settled_once_it_has_stood_still():
    lists = iter([shown("a"), shown("b")])
    last, now = shown("c"), [0.0]

    def sleep(seconds):
        now[0] += seconds

    found = demo.settled(lambda: next(lists, last), sleep, lambda: now[0])
    assert [one.item_id for one in found.items] == ["c"]
    assert now[0] >= demo.QUIET_S


class Stage:
    """The services of a demonstration: what it is told to do, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        self.done: list[str] = []
        self.total, self.checks = 0, [Check("Java", "ok", "17")]
        self.store = MemoryStore()
        (tmp_path / "set").mkdir()
        rows = [f"1,{film},5,{film}" for film in range(60)] + [f"2,{film},5,9" for film in (1, 99)]
        text = "\n".join(["userId,movieId,rating,timestamp", *rows])
        (tmp_path / "set" / "ratings.csv").write_text(text)
        self.store.lists["default", "1", "home"] = own(item("70", 1.0), item("71", 0.5))
        self.store.neighbours["default", "99"] = stored(*(item(f"{n}", 1.0) for n in range(80, 95)))
        self.store.catalogue["default", "99"] = ItemFacts("The Film")
        settings = StackSettings(home=str(tmp_path / "home"))
        Stack(settings).layout.make()
        note = self.done.append
        kafka = Kafka(bootstrap="k")
        planned = SimpleNamespace(stack=settings, kafka=kafka, cassandra=None)
        put = monkeypatch.setattr
        put(demo, "DATA", tmp_path / "set")
        put(demo, "plan", lambda *_: planned)
        put(demo.doctor, "examine", lambda _: self.checks)
        put(Stack, "up", lambda *_: note("up"))
        put(Stack, "down", lambda *_: note("down"))
        put(demo, "Cluster", lambda _: SimpleNamespace(active=lambda _: None))
        put(demo.submit, "launch", lambda *_: note("submit") or "id")
        put(demo, "lag_of", self.lag_of)
        put(demo, "connect", lambda *_: None)
        put(demo, "Producer", lambda _: self)
        put(demo, "replay", lambda *_, **__: note("send"))
        put(demo, "until_caught_up", lambda *_: note("catch up"))
        put(demo, "opened", self.opened)
        put(demo, "QUIET_S", 0.0)
        put(demo, "send_like", self.send_like)
        put(texts, "LISTED_S", 0.0)
        put(texts, "start", lambda *_: note("texts"))
        put(texts, "show_new_film", self.show_new_film)
        put(texts, "show_review", self.show_review)
        self.good = {"film": True, "review": True}

    @contextmanager
    def lag_of(self, _):
        yield lambda: (0, self.total)

    @contextmanager
    def opened(self, _):
        yield self.store

    def flush(self):
        self.total = 10_000
        return 0

    def send_like(self, user, film, kafka, as_of_ms):
        self.done.append(f"{user} likes {film.title}")
        self.store.lists["default", "1", "home"] = own(item("80", 2.0, seed="99"), item("70", 1.0))
        return 321

    def show_new_film(self, film, planned, act, console):
        self.done.append(f"a film like {film.like}")
        assert [one.item_id for one in act().items] == ["80", "70"]
        return self.good["film"]

    def show_review(self, store, user, item, title, planned, console):
        self.done.append(f"{user} reviews {title}")
        return self.good["review"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_it_goes_from_the_machine_to_the_list_after_the_click(stage):
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert stage.done == [
        "up", "submit", "send", "catch up", "1 likes The Film", "texts", "a film like The Film",
        "1 likes The Film", "1 reviews The Film",
    ]  # fmt: skip
    before, _, after = result.output.partition("AFTER")
    assert "80" not in before.partition("BEFORE")[2]
    assert "new" in after
    assert "↓1" in after
    assert "321 ms from the event to the readable row" in after
    assert "headwater down" in after


def test_a_second_time_the_data_set_is_not_sent_again(stage):
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    stage.done.clear()
    stage.store.lists["default", "1", "home"] = own(item("70", 1.0))
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert "send" not in stage.done


def test_what_kafka_has_forgotten_is_sent_again(stage):
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    stage.done.clear()
    stage.total = 0
    stage.store.lists["default", "1", "home"] = own(item("70", 1.0))
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert "send" in stage.done


def test_a_machine_that_lacks_something_stops_it_before_anything_starts(stage):
    stage.checks = [Check("Java", "fail", "none", "install it")]
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "install it" in result.output
    assert stage.done == []


def test_it_takes_the_stack_down_if_asked_to(stage):
    assert CliRunner().invoke(app, ["demo", "--down"]).exit_code == 0
    assert stage.done[-1] == "down"


def test_a_list_that_stays_is_a_failure(stage, monkeypatch):
    monkeypatch.setattr(demo, "send_like", lambda *_: 1)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "the click has not changed the list" in result.output


@pytest.mark.parametrize("what", ["film", "review"])
def test_texts_that_change_nothing_are_a_failure(stage, what):
    stage.good[what] = False
    assert CliRunner().invoke(app, ["demo"]).exit_code == 1
    assert stage.done[-1] == "1 reviews The Film"


def test_a_new_film_counts_as_shown_only_where_its_content_is_the_reason():
    film = texts.new_film("Heat (1995)", ["Crime"], 7)
    assert (film.item_id, film.like) == ("new-7", "Heat (1995)")
    for source, good in (("content", True), ("trending", False)):
        shown = view.dressed([replace(item("new-7", 1.0), source=source)], {})
        assert texts.content_shown(shown, film, Console()) is good
    assert not texts.content_shown([], film, Console())


def test_a_list_without_the_film_is_asked_for_again_but_not_for_ever():
    """An answer that is not to the event itself makes a list too, and may come before."""
    without, listed = (SimpleNamespace(items=[SimpleNamespace(item_id=one)]) for one in ("a", "b"))
    now, lists = [0.0], iter([without, without, listed])

    def sleep(seconds):
        now[0] += seconds

    assert texts.until_listed(lambda: next(lists), "b", sleep, lambda: now[0]) is listed
    assert now[0] == 2 * texts.POLL_S
    assert texts.until_listed(lambda: without, "b", sleep, lambda: now[0]) is without
    assert now[0] == pytest.approx(2 * texts.POLL_S + texts.LISTED_S, abs=2 * texts.POLL_S)


def test_only_what_was_written_of_or_felt_counts_as_said():
    tags = [Weighted(name="heist", weight=1.0, sentiment=0.5), Weighted(name="sea", weight=1.0)]
    found = Profile(as_of_ms=1, counts={"review": 1}, tags=tags, mood={"joy": 0.5})
    assert texts.said_of(found) == ({"heist": True}, frozenset({"joy"}))
    assert texts.said_of(None) == texts.said_of(Profile(as_of_ms=1, counts={"like": 1}))


def test_a_film_of_which_nothing_is_said_is_an_error(monkeypatch):
    texts.until_told(iter([None, "other", "new-7"]), "new-7")
    monkeypatch.setattr(texts, "TIMEOUT_S", -1.0)
    with pytest.raises(texts.TextsError, match="nothing of new-7"):
        texts.until_told(iter([None, None]), "new-7")


def test_a_user_without_a_list_is_a_failure(stage):
    stage.store.lists.clear()
    assert "has no list" in str(CliRunner().invoke(app, ["demo"]).exception)
