"""The reading commands from their arguments to what they print."""

import json
from contextlib import contextmanager

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy import sending
from deploy.cli import app
from deploy.serving import console, erasure, held, hiding
from deploy.serving.erasure import ErasureError
from deploy.serving.store import ItemFacts, Profile
from deploy.serving.view import ShownList
from operators.reading import NO_ROW, NO_ROWS
from tests.deploy.rows import AS_OF_MS, MemoryStore, item, own, stored


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()

    @contextmanager
    def opened(_):
        yield made

    monkeypatch.setattr(console, "opened", opened)
    monkeypatch.setattr(console, "now_ms", lambda: AS_OF_MS + 1000)
    removed = held.Removed(letters=2, kept=1)
    monkeypatch.setattr(held, "rewrite_dead_letters", lambda kafka, user: removed)
    monkeypatch.delenv("COLUMNS", raising=False)
    return made


def invoke(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def test_show_prints_the_users_list(store):
    store.lists["default", "u", "home"] = own(item("a", 2.0, seed="s"))
    store.catalogue["default", "a"] = ItemFacts("Alpha")
    result = invoke("show", "u")
    assert result.exit_code == 0
    for part in ("Alpha", "Because of s", "1.0 s old", "generation 7"):
        assert part in result.output


def test_show_takes_tenant_surface_exclusions_and_a_number(store):
    store.lists["t", "u", "mail"] = own(*(item(name, 1.0) for name in "abcd"))
    result = invoke(
        "show", "u", "--tenant", "t", "--surface", "mail", "--exclude", "a", "--exclude", "b",
        "--top", "1", "--json",
    )  # fmt: skip
    shown = msgspec.json.decode(result.output, type=ShownList)
    assert [one.item_id for one in shown.items] == ["c"]


def test_show_merges_the_segments_row_and_everybodys_where_there_is_none(store):
    store.shared["default", "all"] = stored(item("a", 1.0))
    store.shared["default", "segment:nz"] = stored(item("z", 1.0))
    assert (
        json.loads(invoke("show", "u", "--segment", "nz", "--json").output)["items"][0]["item_id"]
        == "z"
    )
    assert (
        json.loads(invoke("show", "u", "--segment", "fr", "--json").output)["items"][0]["item_id"]
        == "a"
    )


def test_show_of_an_unknown_user_is_a_fallback_and_no_error(store):
    result = invoke("show", "nobody")
    assert result.exit_code == 0
    assert NO_ROWS in result.output
    store.shared["default", "all"] = stored(item("a", 1.0))
    assert NO_ROW in invoke("show", "nobody").output


def test_watching_prints_a_list_whenever_it_changes_and_ends_with_the_person(capsys):
    lists = iter([own(item("a", 1)), own(item("a", 1)), own(item("b", 1))])
    store = MemoryStore()
    query = console.Query(tenant="default", user="u")

    def ask():
        found = next(lists, None)
        if found is None:
            raise KeyboardInterrupt
        store.lists["default", "u", "home"] = found
        return console.serve(store, query)

    console.follow(ask, Console(), as_json=True, sleep=lambda _: None)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["items"][0]["item_id"] for one in printed] == ["a", "b"]


def test_watching_on_a_terminal_redraws_one_list(capsys):
    lists = iter([own(item("first", 1)), own(item("second", 1))])
    store = MemoryStore()

    def ask():
        found = next(lists, None)
        if found is None:
            raise KeyboardInterrupt
        store.lists["default", "u", "home"] = found
        return console.serve(store, console.Query(tenant="default", user="u"))

    terminal = Console(force_terminal=True, width=100)
    console.follow(ask, terminal, as_json=False, sleep=lambda _: None)
    text = capsys.readouterr().out
    assert text.index("first") < text.index("second")
    assert "\x1b[" in text


def test_similar_prints_neighbours_and_refuses_unknown_items(store):
    store.neighbours["default", "m"] = stored(item("a", 0.5, seed="m"))
    store.catalogue |= {("default", "m"): ItemFacts("Main"), ("default", "lone"): ItemFacts("L")}
    result = invoke("similar", "m")
    assert result.exit_code == 0
    assert "Main" in result.output
    lone = invoke("similar", "lone")
    assert (lone.exit_code, "nothing goes with it yet" in lone.stderr) == (1, True)
    unknown = invoke("similar", "x")
    assert (unknown.exit_code, "the catalogue does not know it" in unknown.stderr) == (1, True)


def test_trending_prints_all_by_default_and_names_the_lists_there_are(store):
    store.shared["default", "all"] = stored(item("a", 0.5))
    assert "Popular right now" in invoke("trending").output
    unknown = invoke("trending", "7d")
    assert unknown.exit_code == 1
    assert "there are: all" in unknown.stderr


def test_profile_prints_what_is_kept_and_refuses_unknown_users(store):
    store.profiles["default", "u"] = Profile(as_of_ms=AS_OF_MS, counts={"like": 2}, recent=["a"])
    assert "like 2" in invoke("profile", "u").output
    assert json.loads(invoke("profile", "u", "--json").output)["profile"]["counts"] == {"like": 2}
    assert invoke("profile", "x").exit_code == 1


def settings_of(user: str, at_ms: int, **fields) -> dict:
    return {"kind": "user", "event_id": f"s{at_ms}", "event_time": at_ms, "user_id": user, **fields}


def test_profile_hides_and_shows_tags_and_keeps_all_else_that_the_user_has_set(store, monkeypatch):
    sent = [
        settings_of("u", 1000, preferences={"topics": ["Old"]}),
        {"kind": "erase", "event_id": "x", "event_time": 2000, "user_id": "u"},
        settings_of("u", 3000, preferences={"topics": ["War"], "hidden_tags": ["heist", "sea"]}),
        settings_of("u", 4000, preferences={"topics": ["Jazz"]}, personalise=False),
        settings_of("u", 5000, preferences={"topics": "no list"}),
    ]

    def records(kafka, tenant, user, show, topics):
        assert topics == ["headwater.events"]
        for value in sent:
            yield held.Held(topic="t", partition=0, offset=0, key="u", value=value)

    client = Client(store)
    monkeypatch.setattr(held, "records_of", records)
    monkeypatch.setattr(sending, "connect", lambda _: client)
    store.profiles["default", "u"] = Profile(as_of_ms=AS_OF_MS + 1000)
    result = invoke("profile", "u", "--hide", "dog", "--hide", "cat", "--show", "sea")
    assert result.exit_code == 0, result.exception
    ((topic, key, event),) = client.records
    assert (topic, key, event["event_time"]) == ("headwater.events", b"u", AS_OF_MS + 1000)
    assert event["preferences"] == {"topics": ["Jazz"], "hidden_tags": ["cat", "dog", "heist"]}
    assert event["personalise"] is False
    assert "hidden tags of u are now: cat, dog, heist" in result.output


def test_a_profile_that_does_not_come_is_an_error_that_says_what_is_missing():
    times = iter([0.0, 1.0, 61.0])
    event = hiding.changed([], "default", "u", ["heist"], [], 5000)
    old = Profile(as_of_ms=4999)
    with pytest.raises(hiding.HidingError, match="headwater submit recommend"):
        hiding.until_hidden(lambda: old, event, sleep=lambda _: None, clock=lambda: next(times))


class Client:
    def __init__(self, store, failure=None, left=0):
        self.store, self.failure, self.left, self.records = store, failure, left, []

    def produce(self, topic, *, value, key, on_delivery):
        self.records.append((topic, key, json.loads(value)))
        self.report = on_delivery

    def flush(self, timeout):
        self.report(self.failure, None)
        self.store.lists.clear()
        return self.left


def test_erase_sends_the_contracts_event_and_waits_for_the_rows_to_go(store, monkeypatch):
    store.lists["t", "u", "home"] = own(item("a", 1.0))
    client = Client(store)
    monkeypatch.setattr(sending, "connect", lambda _: client)
    result = invoke("erase", "u", "--tenant", "t", "--wait")
    assert result.exit_code == 0, result.output
    ((topic, key, event),) = client.records
    assert (topic, key) == ("headwater.events", b"u")
    assert event.pop("event_id").startswith("erase-")
    assert event == {
        "kind": "erase", "user_id": "u", "tenant": "t", "event_time": AS_OF_MS + 1000
    }  # fmt: skip
    assert "No row of u is left" in result.output
    assert "Dead letters that named u: 2 removed." in result.output


def test_erase_goes_to_the_topic_of_the_settings(store, monkeypatch, tmp_path):
    file = tmp_path / "h.toml"
    file.write_text("[recommend.kafka]\nevents = 'mine'\n")
    client = Client(store)
    monkeypatch.setattr(sending, "connect", lambda _: client)
    assert invoke("erase", "u", "-c", str(file)).exit_code == 0
    assert client.records[0][0] == "mine"


def test_erase_of_somebody_unknown_is_sent_nevertheless(store, monkeypatch):
    client = Client(store)
    monkeypatch.setattr(sending, "connect", lambda _: client)
    assert "Nothing is stored of u" in invoke("erase", "u").output
    assert len(client.records) == 1


@pytest.mark.parametrize(
    ("failure", "left", "why"), [("broker gone", 0, "broker gone"), (None, 1, "no answer")]
)
def test_an_erasure_that_does_not_reach_kafka_is_an_error(store, monkeypatch, failure, left, why):
    client = Client(store, failure, left)
    monkeypatch.setattr(sending, "connect", lambda _: client)
    assert f"did not reach Kafka ({why})" in str(invoke("erase", "u").exception)


def test_rows_that_stay_are_an_error_that_says_what_is_missing():
    times = iter([0.0, 1.0, 61.0])
    with pytest.raises(ErasureError, match="headwater submit recommend"):
        erasure.until_gone(lambda: True, "u", sleep=lambda _: None, clock=lambda: next(times))
