"""The manifests at a real API server, where HEADWATER_KUBERNETES_BIN names a folder that has one.

`tests/k8s/build_api_server.sh` makes it. With HEADWATER_OPERATOR_CRDS the FlinkDeployments are
held against the operator's own definition, else against the part of it that lies here.
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

from tests.conftest import free_ports
from tests.k8s import schema
from tests.k8s.conftest import OVERLAYS
from tests.k8s.pods import all_pods

BIN = os.environ.get("HEADWATER_KUBERNETES_BIN", "")
CRDS = os.environ.get("HEADWATER_OPERATOR_CRDS", "")
TOKEN = "admin-of-this-test"
pytestmark = pytest.mark.skipif(not BIN, reason="HEADWATER_KUBERNETES_BIN names no API server")


class Kubectl:
    """Calls kubectl on an API server, whose address is `page`."""

    def __init__(self, page: str) -> None:
        self.page = page

    def __call__(self, *words: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        text = None if given is None else yaml.safe_dump_all(given)
        login = [f"--server={self.page}", f"--token={TOKEN}", "--insecure-skip-tls-verify"]
        command = [Path(BIN) / "kubectl", *login, *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def definition(kind: str, group: str, version: str) -> dict[str, Any]:
    """A definition of a custom kind from the schema of its spec that lies here."""
    plural = f"{kind.lower()}s"
    spec = yaml.safe_load((schema.SCHEMAS / f"{kind.lower()}.yaml").read_text())
    fields = {"spec": structural(spec), "metadata": {"type": "object"}}
    fields |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{
                "name": version, "served": True, "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}},
            }],
        },
    }  # fmt: skip


def structural(node: Any) -> Any:
    """A JSON schema in the dialect of Kubernetes."""
    if isinstance(node, list):
        return [structural(one) for one in node]
    if not isinstance(node, dict):
        return node
    told = {key: structural(value) for key, value in node.items()}
    if told.get("additionalProperties") is True:
        del told["additionalProperties"]
        told["x-kubernetes-preserve-unknown-fields"] = True
    if isinstance(told.get("exclusiveMinimum"), int):
        told["minimum"], told["exclusiveMinimum"] = told["exclusiveMinimum"], True
    return told


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Calls kubectl on an API server that lives for this module, with all definitions."""
    folder = tmp_path_factory.mktemp("kubernetes")
    client, peer, secure = list(free_ports().values())[:3]
    store, page = f"http://127.0.0.1:{client}", f"https://127.0.0.1:{secure}"
    subprocess.run(["openssl", "genrsa", "-out", folder / "key.pem", "2048"],
                   check=True, capture_output=True)  # fmt: skip
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    members = f"http://127.0.0.1:{peer}"
    commands = [
        ["etcd", f"--data-dir={folder}/data", f"--listen-client-urls={store}",
         f"--advertise-client-urls={store}", f"--listen-peer-urls={members}",
         f"--initial-advertise-peer-urls={members}", f"--initial-cluster=default={members}"],
        ["kube-apiserver", f"--etcd-servers={store}", f"--secure-port={secure}",
         "--bind-address=127.0.0.1", f"--cert-dir={folder}/certificates",
         f"--service-account-key-file={folder}/key.pem", "--authorization-mode=RBAC",
         f"--service-account-signing-key-file={folder}/key.pem",
         "--service-account-issuer=https://localhost", f"--token-auth-file={folder}/tokens.csv",
         "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount"],
    ]  # fmt: skip
    running = []
    try:
        for name, *options in commands:
            with (folder / f"{name}.log").open("w") as log:
                command = [Path(BIN) / name, *options]
                running.append(subprocess.Popen(command, stdout=log, stderr=log))

        call = Kubectl(page)
        deadline = time.monotonic() + 120
        while call("get", "--raw", "/readyz").stdout != "ok":
            assert time.monotonic() < deadline, (folder / "kube-apiserver.log").read_text()[-2000:]
            time.sleep(0.5)
        install(call)
        yield call
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def install(call: Kubectl) -> None:
    """Make the custom kinds and the namespace with its rules for pods."""
    monitoring = "monitoring.coreos.com"
    kinds = [definition(kind, monitoring, "v1") for kind in ("PodMonitor", "PrometheusRule")]
    if CRDS:
        path = Path(CRDS) / "flinkdeployments.flink.apache.org-v1.yml"
        kinds.append(yaml.safe_load(path.read_text()))
    else:
        kinds.append(definition("FlinkDeployment", "flink.apache.org", "v1beta1"))
    done = call("apply", "--server-side", "-f", "-", given=kinds)
    assert done.returncode == 0, done.stderr
    names = [f"crd/{kind['metadata']['name']}" for kind in kinds]
    # kubectl itself fails while a definition has no conditions yet.
    deadline = time.monotonic() + 30
    while call("wait", "--for=condition=established", *names).returncode:
        assert time.monotonic() < deadline, names
    namespace = schema.SCHEMAS.parent.parent.parent / "k8s" / "base" / "namespace.yaml"
    assert call("apply", "--server-side", "-f", str(namespace)).returncode == 0


def refused(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the server says against it, warnings about safety of pods included."""
    return [line for line in done.stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_takes_every_resource_strictly(overlay, rendered, kubectl):
    done = kubectl("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-",
                   given=rendered[overlay])  # fmt: skip
    assert refused(done) == []
    assert len(done.stdout.splitlines()) == len(rendered[overlay])


def test_the_restricted_namespace_admits_every_pod_that_flink_will_make(resources, kubectl):
    for number, (where, pod) in enumerate(all_pods(resources).items()):
        pod["metadata"] |= {"name": f"pod-{number}", "namespace": "headwater"}
        done = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=[pod])
        assert refused(done) == [], where


def test_the_server_refuses_an_unknown_field_and_a_pod_that_is_root(resources, kubectl):
    _, flink = next(pair for pair in resources if pair[1]["kind"] == "FlinkDeployment")
    wrong = json.loads(json.dumps(flink))
    wrong["spec"]["job"]["bogus"] = 1
    done = kubectl("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-",
                   given=[wrong])  # fmt: skip
    assert "bogus" in done.stderr
    pod = json.loads(json.dumps(next(iter(all_pods(resources).values()))))
    pod["metadata"] |= {"name": "root", "namespace": "headwater"}
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    done = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=[pod])
    assert "violates PodSecurity" in done.stderr
