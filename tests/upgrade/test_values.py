"""The present code reads what the last release kept, and goes on from it, in memory."""

import pytest

from tests.upgrade import memory, release
from tests.upgrade.facts import Facts, differences
from tests.upgrade.stream import GONE, PICKY, QUIET, REFUSED, SOLD_OUT, TURNS, USERS


@pytest.fixture(scope="module")
def kept():
    return release.kept()


def in_words(kept: release.Release) -> str:
    return f"release {kept.version} of commit {kept.commit}"


def test_whatever_of_a_release_does_not_restore_is_in_the_log(kept):
    missing = release.unlogged(kept, release.LOG.read_text("utf-8"))
    assert not missing, (
        f"state of {in_words(kept)} does not restore: {', '.join(missing)}. Say so in the table of "
        f"state names in {release.LOG.name}, or take the change back; then {release.ANEW}"
    )


def test_a_version_that_was_raised_without_a_word_is_found(kept):
    kept.states["ranking-user"] -= 1
    kept.settings["strengths.click"], click = "1", kept.settings["strengths.click"]
    log = "| version | since | change |\n| ranking-user v99 | 1 | other |\n"
    raised = f"ranking-user v{kept.states['ranking-user'] + 1}"
    assert release.unlogged(kept, log) == [raised, f"strengths.click was 1 and is {click}"]
    assert release.unlogged(kept, f"{log}| {raised}, strengths.click | 2 | why |") == []
    kept.states["ranking-user"] += 1
    kept.settings["strengths.click"] = click


def test_every_kept_value_can_be_read(kept):
    graph = release.graph()
    release.load(graph, release.read_values())
    changed = {name.split(" v")[0] for name in release.lost(kept)}
    names = set()
    try:
        for name, _, _ in release.decoded(graph):
            names.add(name)
    except Exception as error:
        if not changed:
            pytest.fail(f"a value of {in_words(kept)} cannot be read: {error!r}; raise its version")
    assert {"ranking-user", "neighbours-pair", "history-log", "content-item"} <= names


def test_the_stages_go_on_from_the_kept_values_as_the_release_did_itself(kept):
    if lost := release.lost(kept):
        pytest.skip(f"of {in_words(kept)} does not restore, logged: {lost}; {release.ANEW}")
    graph = release.graph()
    release.load(graph, release.read_values())
    for wanted, got in zip(kept.memory, memory.gone_on(graph), strict=True):
        found = differences(wanted, got)
        assert not found, (
            f"with the state of {in_words(kept)} this is not as it was:\n  "
            + "\n  ".join(found[:20])
            + f"\nIf stages were changed on purpose, {release.ANEW}"
        )


def test_what_a_release_shows_hangs_on_its_state(kept):
    """Without the kept state the same turns show something else: the proof is one."""
    (*_, empty) = memory.gone_on(release.graph())
    for facts in (kept.memory[-1], kept.services[-1]):
        told = {text.split(" of ")[0] for text in differences(facts, empty)}
        assert told >= {"counts", "generation", "fallback", "learned", "tags"}
        assert GONE not in facts.counts
        assert facts.learned["u0"]
        assert facts.learned["p2-i7"]
        assert not any(SOLD_OUT in items for items in facts.listed.values())
        assert REFUSED not in facts.listed[PICKY]
        assert QUIET not in facts.listed
        assert facts.counts[QUIET] == {"like": 2 + TURNS}
        assert all(facts.generation[user] > 2 * TURNS for user in USERS)
        assert facts.tags["u0"]


def test_what_must_not_be_listed_is_named():
    shown = Facts(listed={"u0": [SOLD_OUT], PICKY: [REFUSED, "i9"]})
    assert differences(Facts(), shown) == [
        f"{SOLD_OUT} is sold out and listed for u0",
        f"{PICKY} has refused {REFUSED}, which is listed",
    ]
