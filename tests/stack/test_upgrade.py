"""The kept savepoint of the last release under the present code, rescaled from 1 to 2 to 1."""

from pathlib import Path

import pytest

from deploy.stack import Stack
from tests.upgrade import release, services, stream
from tests.upgrade.facts import differences

pytestmark = pytest.mark.stack


def test_the_savepoint_of_a_release_goes_on_and_keeps_all_state_when_rescaled(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = release.kept()
    if lost := release.lost(kept):
        pytest.skip(f"of commit {kept.commit} does not restore: {lost}; {release.ANEW}")
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)
    savepoint = services.unpack(release.SAVED / release.SAVEPOINT, tmp_path)
    with services.runs(stack, "upgrade", tmp_path, kept.buckets) as runs:
        # The offsets in the savepoint are those of the same records in the same topics.
        before = stream.before(services.TENANT)
        runs.send([one for one in before if "item" in one.topic])
        runs.send([one for one in before if "item" not in one.topic])
        for number, parallelism in enumerate((2, 1), start=1):
            runs.start(savepoint, parallelism)
            runs.take_turn(number)
            wanted = kept.services[number - 1]
            found = differences(wanted, runs.shown(wanted))
            assert not found, (
                f"with the savepoint of commit {kept.commit} at parallelism {parallelism} this is "
                "not as it was:\n  " + "\n  ".join(found[:20])
            )
            savepoint = runs.stop() if number < stream.TURNS else ""
