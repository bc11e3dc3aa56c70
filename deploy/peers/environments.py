"""Virtual environments of the peers: each made once, from a lock file, by the first run.

The project's own environment has none of these libraries, and they need not agree with its own.
"""

import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from deploy.errors import HeadwaterError

LOCKS = Path(__file__).parent / "requirements"
MAIN = "main"
"""The environment that runs this very program."""
_TOLD_LINES = 15


def names() -> list[str]:
    """Environments that have a lock file."""
    return sorted(lock.stem for lock in LOCKS.glob("*.lock"))


def python_of(name: str, home: Path, tell: Callable[[str], object]) -> Path:
    """Give the interpreter of an environment, making it first where it is missing or out of date.

    Args:
        name: `main`, or the name of a lock file.
        home: Folder of the environments.
        tell: Told what is about to happen, if that takes time.

    Raises:
        HeadwaterError: If it cannot be made; the text says why.
    """
    if name == MAIN:
        return Path(sys.executable)
    lock, place = LOCKS / f"{name}.lock", home / name
    python, mark = place / "bin" / "python", place / "lock.digest"
    digest = blake2b(lock.read_bytes() + sys.version.encode(), digest_size=16).hexdigest()
    if mark.is_file() and mark.read_text() == digest and python.exists():
        return python
    tell(f"making the environment `{name}` in {place}")
    home.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
    _uv(
        "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", str(python),
        "--requirements", str(lock),
    )  # fmt: skip
    mark.write_text(digest)
    return python


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_TOLD_LINES:])
        msg = (
            f"`uv {' '.join(arguments)}` failed:\n{said}\n`make install` brings uv if it is missing"
        )
        raise HeadwaterError(msg)
