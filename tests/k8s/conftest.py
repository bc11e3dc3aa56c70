"""The overlays, rendered."""

from pathlib import Path
from typing import Any

import pytest

from tests.k8s import kustomize

K8S = Path(__file__).parent.parent.parent / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))


@pytest.fixture(scope="session")
def rendered() -> dict[str, list[dict[str, Any]]]:
    """Overlay → its resources."""
    return {name: kustomize.render(K8S / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(scope="session")
def resources(rendered) -> list[tuple[str, dict[str, Any]]]:
    """(where, resource) of all overlays."""
    return [
        (f"{overlay}: {one['kind']} {one['metadata']['name']}", one)
        for overlay, found in rendered.items()
        for one in found
    ]


@pytest.fixture(scope="session")
def deployments(resources) -> dict[str, dict[str, Any]]:
    """Where → spec of each FlinkDeployment."""
    return {where: one["spec"] for where, one in resources if one["kind"] == "FlinkDeployment"}
