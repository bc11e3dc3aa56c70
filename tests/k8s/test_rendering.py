"""The small loader gives what kustomize gives; where there is no kustomize, it is all there is."""

import shutil
import subprocess

import pytest
import yaml

from tests.k8s import kustomize
from tests.k8s.conftest import K8S, OVERLAYS

KUSTOMIZE = [["kustomize", "build"], ["kubectl", "kustomize"]]


def by_name(resources):
    found = {(one["kind"], one["metadata"]["name"]): one for one in resources}
    assert len(found) == len(resources), "two resources of one name"
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_loader_renders_an_overlay_as_kustomize_does(overlay, rendered):
    command = next((one for one in KUSTOMIZE if shutil.which(one[0])), None)
    if command is None:
        pytest.skip("neither kustomize nor kubectl is on the path")
    built = subprocess.run(
        [*command, str(K8S / "overlays" / overlay)], capture_output=True, text=True, check=True
    )
    assert by_name(rendered[overlay]) == by_name(list(yaml.safe_load_all(built.stdout)))


def test_changed_settings_are_another_name():
    before, after = {"headwater.toml": "a = 1\n"}, {"headwater.toml": "a = 2\n"}
    assert kustomize.digest(before) != kustomize.digest(after)


def test_the_settings_a_job_mounts_are_those_of_its_overlay(rendered):
    for overlay, found in rendered.items():
        names = {one["metadata"]["name"] for one in found if one["kind"] == "ConfigMap"}
        for one in found:
            if one["kind"] == "FlinkDeployment":
                volumes = one["spec"]["podTemplate"]["spec"]["volumes"]
                mounted = {
                    volume["configMap"]["name"] for volume in volumes if "configMap" in volume
                }
                assert mounted == names, overlay


def test_a_field_the_loader_does_not_know_is_refused(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("namePrefix: x-\n")
    with pytest.raises(NotImplementedError, match="namePrefix"):
        kustomize.render(tmp_path)


def test_a_patch_that_meets_nothing_is_refused(tmp_path):
    (tmp_path / "kustomization.yaml").write_text(
        "patches: [{target: {kind: Job, name: gone}, patch: '[]'}]\n"
    )
    with pytest.raises(ValueError, match="gone"):
        kustomize.render(tmp_path)


def test_both_overlays_tell_kustomize_the_same_of_flinks_kinds():
    texts = {(K8S / "overlays" / overlay / "names.yaml").read_text() for overlay in OVERLAYS}
    assert len(texts) == 1
