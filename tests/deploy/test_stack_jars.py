"""Fetching with a Maven that is a shell script."""

from pathlib import Path

import pytest

from deploy.stack import jars
from deploy.stack.errors import FetchError
from deploy.stack.layout import PACKAGE

GOOD = """
for arg in "$@"; do case "$arg" in -Dout=*) out="${arg#-Dout=}";; esac; done
for module in kafka cassandra flink; do
  mkdir -p "$out/$module"; printf jar > "$out/$module/$module.jar"
  echo "Downloaded from central: somewhere/$module.jar (1 kB)"
done
echo called >> "$CALLS"
"""
JAVA = Path("/java")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def maven(tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a script as `mvn`."""

    def install(script: str) -> None:
        program = tmp_path / "bin" / "mvn"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\nset -e\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.setenv("CALLS", str(calls))

    return install


def test_the_pins_are_read_from_the_parent_pom() -> None:
    assert jars.pins() == {
        "kafka.version": "4.3.1",
        "cassandra.version": "5.0.9",
        "flink.version": "2.3.0",
        "flink.kafka.connector.version": "5.0.0-2.2",
        "log4j.version": "2.25.4",
    }


def test_jars_are_fetched_once_and_progress_is_told(maven, cache, calls, said) -> None:
    maven(GOOD)
    folder = jars.ensure(cache, JAVA, said.append)
    assert jars.is_complete(folder)
    assert (folder / "kafka" / "kafka.jar").read_text() == "jar"
    assert said == ["asking Maven for the jars", *(f"fetched {n} jars" for n in (1, 2, 3))]
    assert jars.ensure(cache, JAVA, said.append) == folder
    assert calls.read_text().count("called") == 1
    assert list(cache.glob("*.partial")) == []


def test_nothing_is_written_beside_the_poms(maven, cache, said) -> None:
    before = sorted(PACKAGE.rglob("*"))
    maven(GOOD + "\nmkdir target")
    jars.ensure(cache, JAVA, said.append)
    assert [path for path in sorted(PACKAGE.rglob("*")) if "__pycache__" not in str(path)] == [
        path for path in before if "__pycache__" not in str(path)
    ]


@pytest.mark.parametrize("damage", ["missing", "short", "unmarked"])
def test_a_damaged_set_is_fetched_again(maven, cache, calls, said, damage: str) -> None:
    maven(GOOD)
    folder = jars.ensure(cache, JAVA, said.append)
    if damage == "missing":
        (folder / "cassandra" / "cassandra.jar").unlink()
    elif damage == "short":
        (folder / "flink" / "flink.jar").write_text("j")
    else:
        (folder / jars.MANIFEST).unlink()
    assert not jars.is_complete(folder)
    jars.ensure(cache, JAVA, said.append)
    assert jars.is_complete(folder)
    assert calls.read_text().count("called") == 2


def test_an_interrupted_fetch_leaves_no_set_and_is_repeated(maven, cache, said) -> None:
    maven(GOOD + "\nkill -9 $$")
    with pytest.raises(FetchError):
        jars.ensure(cache, JAVA, said.append)
    assert not jars.folder(cache).exists()
    maven(GOOD)
    assert jars.is_complete(jars.ensure(cache, JAVA, said.append))


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("Could not transfer artifact x from/to central: Unknown host", "check the network"),
        ("Checksum validation failed, expected a but is b", "a file came damaged: delete it"),
        ("No space left on device", "make room on the disk"),
        ("Something else", "read "),
    ],
)
def test_a_failure_quotes_maven_and_says_what_to_do(
    maven, cache, said, line: str, advice: str
) -> None:
    maven(f"echo '[INFO] well'; echo '[ERROR] {line}'; exit 1")
    with pytest.raises(FetchError) as caught:
        jars.ensure(cache, JAVA, said.append)
    text = str(caught.value)
    assert line in text
    assert f"What to do: {advice}" in text
    assert "[INFO] well" in (cache / "maven.log").read_text()


def test_a_missing_maven_is_an_error_that_says_how_to_get_it(
    cache, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FetchError, match="apt-get install maven"):
        jars.ensure(cache, JAVA, said.append)


def test_success_without_jars_is_not_believed(maven, cache, said) -> None:
    maven("exit 0")
    with pytest.raises(FetchError, match="left no jars"):
        jars.ensure(cache, JAVA, said.append)


def test_maven_runs_on_the_given_java_and_checks_checksums(maven, cache, calls, said) -> None:
    maven(GOOD + '\necho "$JAVA_HOME $@" >> "$CALLS"')
    jars.ensure(cache, JAVA, said.append)
    assert "/java -B -C package" in calls.read_text()
