"""Finds the Java that runs the stack and reads its version."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.stack.errors import StackError

REQUIRED = 17
"""Kafka 4 needs at least 17, Cassandra 5 starts on nothing newer."""

ADVICE = (
    f"install a Java {REQUIRED} (Debian: apt-get install openjdk-{REQUIRED}-jre-headless) and set "
    "java_home, or JAVA_HOME, to it"
)


def parse_version(text: str) -> int | None:
    """Feature release in the output of ``java -version``.

    >>> parse_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_version('java version "1.8.0_402"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def candidate(java_home: str | None) -> Path | None:
    """The ``java`` that would be used: the setting's, ``$JAVA_HOME``'s, or the path's."""
    for home in (java_home, os.environ.get("JAVA_HOME")):
        if home:
            java = Path(home).expanduser() / "bin" / "java"
            return java if java.is_file() else None
    found = shutil.which("java")
    return Path(found) if found else None


def version_of(java: Path) -> int | None:
    """Feature release of one ``java``, ``None`` if it cannot tell."""
    command = [str(java), "-version"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse_version(told.stderr)


def find_java(java_home: str | None) -> Path:
    """The Java home to run everything with.

    Raises:
        StackError: There is no Java, or it is not release 17.
    """
    java = candidate(java_home)
    if java is None:
        msg = f"no Java found: {ADVICE}"
        raise StackError(msg)
    version = version_of(java)
    if version != REQUIRED:
        msg = f"{java} is Java {version or 'of unknown release'}, needed is {REQUIRED}: {ADVICE}"
        raise StackError(msg)
    return java.resolve().parent.parent
