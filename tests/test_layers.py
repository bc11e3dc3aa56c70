"""Imports point one way.

k8s, deploy → jobs → operators.flink, udfs; operators.flink → operators.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

PURE = {"operators": {"operators"}, "udfs": {"udfs"}}
SHELLS = {"operators.flink": {"operators.flink", "operators"}}
MAY_IMPORT = {
    **PURE,
    **SHELLS,
    "jobs": {"jobs", *SHELLS, *PURE},
    "deploy": {"deploy", "jobs", *SHELLS, *PURE},
    "k8s": {"k8s", "jobs", *SHELLS, *PURE},
    "tests": {"tests", "k8s", "deploy", "jobs", *SHELLS, *PURE},
}
"""Layers by the head of the module name, and the layers each may import."""


def layer_of(module: str) -> str | None:
    """The layer with the longest name that the module lies in; None for other people's code."""
    heads = [layer for layer in MAY_IMPORT if f"{module}.".startswith(f"{layer}.")]
    return max(heads, key=len, default=None)


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands; `from a import b` names a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            head = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{head}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func)
            if name in {"__import__", "import_module", "importlib.import_module"}:
                first = node.args[0]
                yield node.lineno, first.value if isinstance(first, ast.Constant) else "?"


def sources(root: Path) -> Iterator[Path]:
    """Python files under the visible folders of a tree, relative to it."""
    for path in sorted(root.glob("*/**/*.py")):
        relative = path.relative_to(root)
        if not any(part.startswith(".") for part in relative.parts):
            yield relative


def violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        layer = layer_of(module_of(path))
        if layer is None:
            found.append(f"{path}: no layer; a folder of code needs a place in MAY_IMPORT")
            continue
        tree = ast.parse((root / path).read_text("utf-8"), str(path))
        for line, name in imported(tree, list(path.parent.parts)):
            target = layer_of(name)
            if target is not None and target not in MAY_IMPORT[layer]:
                found.append(f"{path}:{line}: {layer} imports {name}")
            if layer in PURE and name.split(".")[0] in {"pyflink", "?"}:
                found.append(f"{path}:{line}: pure {layer} imports {name}")
    return found


def test_every_import_of_the_project_points_the_right_way():
    assert violations(PROJECT) == []


def test_all_layers_with_code_were_looked_at():
    layers = {layer_of(module_of(path)) for path in sources(PROJECT)}
    assert layers >= {"operators", "operators.flink", "jobs", "deploy", "tests"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("operators/a.py", "import pyflink"),
        ("operators/a.py", "from pyflink.common import Types"),
        ("operators/a.py", "def f():\n    import pyflink.table"),
        ("operators/a.py", "from operators.flink.state import Cache"),
        ("operators/a.py", "from operators import flink"),
        ("operators/a.py", "from . import flink"),
        ("operators/a.py", "from .flink import keyed"),
        ("operators/a.py", "import udfs.text"),
        ("operators/a.py", "from udfs import text"),
        ("operators/a.py", "from jobs.settings import Recommend"),
        ("operators/a.py", "import importlib\nimportlib.import_module('pyflink')"),
        ("operators/a.py", "__import__(name)"),
        ("operators/sub/a.py", "from ..flink import keyed"),
        ("operators/flink/a.py", "import jobs.wiring"),
        ("operators/flink/a.py", "import udfs.text"),
        ("operators/flink/a.py", "from deploy.stack import Stack"),
        ("udfs/a.py", "from operators.events import Item"),
        ("udfs/a.py", "import pyflink.table"),
        ("udfs/b.py", "import operators.flink.keyed"),
        ("udfs/b.py", "import pyflink\nimport udfs.text"),
        ("jobs/a.py", "import deploy.cli"),
        ("jobs/a.py", "import k8s.base"),
        ("jobs/a.py", "from tests.builders import event"),
        ("deploy/a.py", "import tests"),
        ("deploy/a.py", "import k8s.base"),
        ("k8s/a.py", "import tests.graph"),
        ("tools/a.py", "import json"),
    ],
)
def test_an_arrow_against_the_direction_is_found(tmp_path, path, code):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(code)
    assert len(violations(tmp_path)) == 1, code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("operators/a.py", "import operator, numpy\nfrom operators.events import Item"),
        ("operators/a.py", "from . import events\nfrom .events import Item"),
        ("operators/flink/a.py", "import pyflink\nfrom operators.stage import Codec"),
        ("operators/flink/a.py", "from .. import stage\nfrom . import state"),
        ("udfs/a.py", "def load():\n    import torch"),
        ("jobs/a.py", "import pyflink, operators.flink.keyed, udfs.text"),
        ("deploy/a.py", "import jobs.settings, operators.reading"),
        ("tests/a.py", "import deploy.cli, jobs.wiring, operators.flink.state, tests.graph"),
        (".venv/lib/a.py", "import operators.flink, nothing"),
    ],
)
def test_an_arrow_in_the_direction_is_fine(tmp_path, path, code):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(code)
    assert violations(tmp_path) == []
