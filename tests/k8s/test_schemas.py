"""Every manifest fits its schema, strictly."""

import copy
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.k8s import schema
from tests.k8s.pods import ROLES, all_pods

CUSTOM = {
    "FlinkDeployment": "flink.apache.org/v1beta1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
CRDS = os.environ.get("HEADWATER_OPERATOR_CRDS")


def test_core_kinds_fit_the_schemas_of_the_oldest_and_the_newest_kubernetes(resources):
    core = [(where, one) for where, one in resources if one["kind"] not in CUSTOM]
    assert {one["kind"] for _, one in core} >= {"Job", "NetworkPolicy", "Role", "ConfigMap"}
    assert [(where, wrong) for where, one in core if (wrong := schema.core_errors(one))] == []


def test_custom_kinds_fit_their_schemas(resources):
    for where, one in resources:
        if one["kind"] in CUSTOM:
            assert one["apiVersion"] == CUSTOM[one["kind"]], where
            assert schema.errors(one["spec"], schema.own(one["kind"])) == [], where


def test_pod_templates_of_flink_give_legal_pods(resources):
    pods = all_pods(resources)
    assert sum(where.endswith(ROLES) for where in pods) == 12
    for where, pod in pods.items():
        assert schema.core_errors(pod) == [], where
        assert len(pod["spec"]["containers"]) == 1, where


def test_an_unknown_field_is_found_in_a_job_and_in_a_flinkdeployment(resources):
    job = copy.deepcopy(next(one for _, one in resources if one["kind"] == "Job"))
    job["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    assert any("comand" in wrong for wrong in schema.core_errors(job))
    flink = copy.deepcopy(next(one for _, one in resources if one["kind"] == "FlinkDeployment"))
    flink["spec"]["job"]["bogus"] = 1
    assert any("bogus" in w for w in schema.errors(flink["spec"], schema.own("FlinkDeployment")))


def test_the_schemas_are_schemas():
    for path in schema.SCHEMAS.glob("*.yaml"):
        jsonschema.Draft202012Validator.check_schema(yaml.safe_load(path.read_text()))


@pytest.fixture(scope="module")
def definition():
    """The operator's own schema of a FlinkDeployment."""
    if CRDS is None:
        pytest.skip("HEADWATER_OPERATOR_CRDS names no folder of the operator's definitions")
    path = Path(CRDS) / "flinkdeployments.flink.apache.org-v1.yml"
    version = yaml.safe_load(path.read_text())["spec"]["versions"][0]
    assert version["name"] == "v1beta1"
    return schema.closed(version["schema"]["openAPIV3Schema"])


def test_flinkdeployments_fit_the_operators_own_definition(definition, resources):
    found = [(where, one) for where, one in resources if one["kind"] == "FlinkDeployment"]
    assert len(found) == 6
    for where, one in found:
        assert schema.errors({"spec": one["spec"]}, definition) == [], where


def fields(node, path=""):
    """(path, type, enum) of all fields of a schema but those of pods."""
    for name, one in node.get("properties", {}).items():
        yield f"{path}.{name}", one.get("type"), one.get("enum")
        if name != "podTemplate":
            yield from fields(one, f"{path}.{name}")


def test_the_schema_here_allows_nothing_that_the_operators_definition_refuses(definition):
    theirs = {path: rest for path, *rest in fields(definition["properties"]["spec"])}
    for path, kind, values in fields(schema.own("FlinkDeployment")):
        assert path in theirs
        their_kind, their_values = theirs[path]
        assert their_kind in {kind, None}, path
        assert their_values is None or set(values or []) <= set(their_values), path
