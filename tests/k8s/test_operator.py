"""The Flink operator itself on the manifests, where HEADWATER_OPERATOR_JARS names its jars.

They are `flink-kubernetes-standalone` and the shaded `flink-kubernetes-operator`, as Maven builds
them of the operator's release; the folder of the operator's definitions and an API server are
needed as well, see `test_api_server`. There are no nodes: what is shown is that the operator takes
each job as it is and makes its Deployment, not that a pod runs.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.test_api_server import BIN, CRDS, TOKEN, Kubectl, kubectl

__all__ = ["kubectl"]
JARS = os.environ.get("HEADWATER_OPERATOR_JARS", "")
pytestmark = pytest.mark.skipif(
    not (JARS and BIN and CRDS), reason="no jars of the operator, API server or definitions"
)
PATIENCE_S = 180


@pytest.fixture
def operator(kubectl: Kubectl, tmp_path: Path) -> Iterator[None]:
    """Runs against the API server, with what it says in a file."""
    for path in sorted(Path(CRDS).glob("*.yml")):
        assert kubectl("apply", "--server-side", "-f", str(path)).returncode == 0, path
    (tmp_path / "plugins").mkdir()
    (tmp_path / "config.yaml").write_text("kubernetes.operator.reconcile.interval: 5s\n")
    (tmp_path / "access").write_text(yaml.safe_dump(access(kubectl.page)))
    classes = ":".join(str(path) for path in sorted(Path(JARS).glob("*.jar")))
    opens = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "util")]
    command = ["java", *opens, "-cp", classes, "org.apache.flink.kubernetes.operator.FlinkOperator"]
    env = os.environ | {
        "KUBECONFIG": str(tmp_path / "access"), "FLINK_CONF_DIR": str(tmp_path),
        "FLINK_PLUGINS_DIR": str(tmp_path / "plugins"), "OPERATOR_NAMESPACE": "headwater",
        "OPERATOR_NAME": "operator", "HOSTNAME": "operator-0",
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


def access(page: str) -> dict[str, Any]:
    """How the operator reaches the API server."""
    cluster = {"server": page, "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }  # fmt: skip


def test_the_operator_deploys_every_job(rendered, kubectl, operator):
    resources = rendered["prod"]
    assert kubectl("apply", "--server-side", "-f", "-", given=resources).returncode == 0
    wanted = {one["metadata"]["name"] for one in resources if one["kind"] == "FlinkDeployment"}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = listed(kubectl, "flinkdeployments")
        states = {name: one.get("status", {}).get("lifecycleState") for name, one in found.items()}
        errors = {name: one.get("status", {}).get("error") for name, one in found.items()}
        assert not any(errors.values()), errors
        if states == dict.fromkeys(wanted, "DEPLOYED"):
            break
        assert time.monotonic() < deadline, states
        time.sleep(1)
    assert set(listed(kubectl, "deployments")) == wanted


def listed(kubectl: Kubectl, kind: str) -> dict[str, dict[str, Any]]:
    """What there is of a kind, by name."""
    told = json.loads(kubectl("get", kind, "-n", "headwater", "-o", "json").stdout)
    return {one["metadata"]["name"]: one for one in told["items"]}
