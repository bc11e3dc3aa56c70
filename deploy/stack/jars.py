"""Fetches the stack's jars with Maven, once, and knows whether they are all there.

The jars of one set of poms live in ``<cache>/jars-<digest of the poms>``. They are fetched into a
folder beside it that takes the final name only when Maven has succeeded and the list of files is
written, so an interrupted fetch is repeated and a changed version fetches a new set.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from deploy.stack.errors import FetchError
from deploy.stack.layout import PACKAGE

MODULES = ("kafka", "cassandra", "flink")
MANIFEST = "complete.json"
_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def poms() -> list[Path]:
    """The parent pom and one a module."""
    return [PACKAGE / "pom.xml", *(PACKAGE / module / "pom.xml" for module in MODULES)]


def pins() -> dict[str, str]:
    """Pinned versions by property name, such as ``kafka.version``."""
    properties = ET.parse(poms()[0]).getroot().find("m:properties", _NAMESPACE)
    if properties is None:
        msg = f"{poms()[0]} has no <properties>: restore the file"
        raise FetchError(msg)
    named = {item.tag.partition("}")[2]: (item.text or "").strip() for item in properties}
    return {name: text for name, text in named.items() if name.endswith(".version")}


def folder(cache: Path) -> Path:
    """Where the jars of the present poms belong."""
    digest = hashlib.sha256(b"\0".join(pom.read_bytes() for pom in poms()))
    return cache / f"jars-{digest.hexdigest()[:12]}"


def is_complete(jars: Path) -> bool:
    """Whether every jar that Maven brought is there in its full size."""
    try:
        sizes = msgspec.json.decode((jars / MANIFEST).read_bytes(), type=dict[str, int])
        return all((jars / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, msgspec.DecodeError):
        return False


def ensure(cache: Path, java_home: Path, say: Callable[[str], None]) -> Path:
    """Returns the folder of the jars, fetching them first if any is missing.

    Args:
        cache: Folder that keeps the sets of jars.
        java_home: Java that runs Maven.
        say: Told in a few words how far the fetch is.

    Raises:
        FetchError: Maven is missing or failed; the message ends with what to do.
    """
    jars = folder(cache)
    if is_complete(jars):
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / ".lock", say):
        if not is_complete(jars):
            _fetch(jars, java_home, say)
    return jars


@contextlib.contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is fetching, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch(jars: Path, java_home: Path, say: Callable[[str], None]) -> None:
    work = jars.with_name(f"{jars.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    # Maven runs on a copy: the package's own folder may be read-only.
    for pom in poms():
        copy = work / pom.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pom, copy)
    out = work / "out"
    _maven(work, out, java_home, say)
    found = {str(jar.relative_to(out)): jar.stat().st_size for jar in sorted(out.rglob("*.jar"))}
    if {Path(name).parts[0] for name in found} != set(MODULES):
        msg = f"Maven succeeded but left no jars for one of {MODULES} in {out}: run again"
        raise FetchError(msg)
    (out / MANIFEST).write_bytes(msgspec.json.encode(found))
    shutil.rmtree(jars, ignore_errors=True)
    out.rename(jars)
    shutil.rmtree(work)


def _maven(work: Path, out: Path, java_home: Path, say: Callable[[str], None]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        msg = "Maven (mvn) is not on the path: install it (Debian: apt-get install maven)"
        raise FetchError(msg)
    say("asking Maven for the jars")
    # -C: a file whose checksum differs from the repository's is an error, not a warning.
    command = [maven, "-B", "-C", "package", f"-Dout={out}", "-Dstyle.color=never"]
    with (
        (work.parent / "maven.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=work,
            env=_maven_environment(java_home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        errors = _follow(process, log.write, say)
        code = process.wait()
    if code:
        raise FetchError(_advice(code, errors, work.parent / "maven.log"))


def _maven_environment(java_home: Path) -> dict[str, str]:
    return {**os.environ, "JAVA_HOME": str(java_home)}


def _follow(
    process: subprocess.Popen[str], log: Callable[[str], object], say: Callable[[str], None]
) -> list[str]:
    """Passes Maven's output to the log, counts the downloads, and returns the error lines."""
    files = 0
    errors: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        log(line)
        if "Downloaded from" in line and ".jar" in line:
            files += 1
            say(f"fetched {files} jars")
        elif line.startswith("[ERROR]") and len(errors) < 6:
            errors.append(line.removeprefix("[ERROR]").strip())
    return [line for line in errors if line]


def _advice(code: int, errors: list[str], log: Path) -> str:
    text = " ".join(errors)
    if re.search(r"Checksum validation failed", text):
        todo = "a file came damaged: delete it from ~/.m2/repository and run again"
    elif re.search(r"No space left", text):
        todo = "make room on the disk and run again"
    elif re.search(r"Could not transfer|Unknown host|timed out|refused", text):
        todo = "check the network (a proxy or mirror goes into ~/.m2/settings.xml), run again"
    else:
        todo = f"read {log}; run again once its cause is gone"
    told = "\n  ".join(errors[:3])
    return f"Maven failed (exit {code}):\n  {told}\nWhat to do: {todo}. Log: {log}"
