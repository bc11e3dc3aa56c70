"""Compiled loops that an image brings along, put where a worker can add its own.

A worker compiles the loops of `operators.kernels` when it first needs them: 44 s of CPU in which
events wait, in a pod that has taken the place of another too. An image brings them compiled, see
`deploy/Dockerfile`. But numba reads from no folder that it cannot write to, and a pod's root file
system is read-only: so they are copied to the folder that it can.
"""

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

SHIPPED, CACHE = "HEADWATER_KERNELS", "NUMBA_CACHE_DIR"
"""Variables that name the two folders."""

_copying = threading.Lock()


def provide(environment: Mapping[str, str] = os.environ) -> None:
    """Copy what is not there yet; where either variable is missing there is nothing to do.

    Several processes may do so at once: each file is there whole or not at all.
    """
    shipped, cache = _folder(environment, SHIPPED), _folder(environment, CACHE)
    if shipped is None or cache is None:
        return
    with _copying:
        for path in shipped.rglob("*.nb?"):
            target = cache / path.relative_to(shipped)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f"{target.name}.{os.getpid()}")
                shutil.copyfile(path, partial)
                partial.replace(target)


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    """The folder of a variable, if it is set."""
    value = environment.get(name)
    return Path(value) if value else None
