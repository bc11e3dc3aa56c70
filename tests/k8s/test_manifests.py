"""What the schemas cannot know: that the manifests fit each other and the project."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml

from deploy.cli import app
from deploy.stack import jars
from jobs import settings as configuration
from jobs.kinds import KINDS
from k8s import prometheus_rules
from tests.k8s.conftest import K8S, OVERLAYS
from tests.k8s.pods import MAIN, all_pods

PROJECT = K8S.parent
TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
SETTINGS = "/etc/headwater/headwater.toml"


def of_kind(resources, kind):
    return {where: one for where, one in resources if one["kind"] == kind}


def containers(resources):
    for where, pod in all_pods(resources).items():
        yield from ((where, pod, container) for container in pod["spec"]["containers"])


# --- security ------------------------------------------------------------------------------


def test_no_container_runs_as_root_or_can_become_it(resources):
    for where, pod, container in containers(resources):
        user, own = pod["spec"]["securityContext"], container["securityContext"]
        assert user["runAsNonRoot"] is True, where
        assert user["runAsUser"] == user["runAsGroup"] == 9999, where
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert own["allowPrivilegeEscalation"] is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert "privileged" not in own, where


def test_root_file_systems_are_read_only_and_what_is_written_has_a_bounded_volume(resources):
    for where, pod, container in containers(resources):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        assert len(mounts) == len(volumes), f"{where}: a volume is not mounted"
        writable = ["/tmp"] + (["/opt/flink/log"] if container["name"] == MAIN else [])
        for path in writable:
            assert mounts[path]["emptyDir"]["sizeLimit"], where
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert env["HOME"] == "/tmp", where


def test_flink_writes_only_where_a_volume_is(deployments):
    for where, spec in deployments.items():
        mounts = spec["podTemplate"]["spec"]["containers"][0]["volumeMounts"]
        paths = [mount["mountPath"] for mount in mounts if not mount.get("readOnly")]
        config = spec["flinkConfiguration"]
        for key in ("io.tmp.dirs", "state.backend.rocksdb.log.dir"):
            assert config[key] in paths, where
        for key in STORAGE:
            scheme, _, place = config[key].partition("://")
            assert scheme == "s3" or any(place.startswith(path) for path in paths), where


STORAGE = (
    "execution.checkpointing.dir", "execution.checkpointing.savepoint-dir",
    "high-availability.storageDir",
)  # fmt: skip


def test_secrets_come_by_reference_alone(resources):
    assert of_kind(resources, "Secret") == {}
    for where, _, container in containers(resources):
        for one in container["env"]:
            secret = configuration.SECRET.search(one["name"])
            assert not secret or "secretKeyRef" in one["valueFrom"], f"{where}: {one['name']}"


def test_each_production_job_has_a_secret_and_an_account_of_its_own(rendered):
    seen = []
    for one in rendered["prod"]:
        if one["kind"] == "FlinkDeployment":
            template = one["spec"]["podTemplate"]["spec"]
            named = [volume["secret"]["secretName"] for volume in template["volumes"]
                     if "secret" in volume]  # fmt: skip
            container = template["containers"][0]
            named += [env["valueFrom"]["secretKeyRef"]["name"]
                      for env in container["env"] if "valueFrom" in env]  # fmt: skip
            assert set(named) == {f"headwater-{one['metadata']['name']}"}
            seen.append(one["spec"]["serviceAccount"])
    assert sorted(seen) == ["learn", "recommend", "understand"]


def test_accounts_are_declared_and_bound_to_a_role_that_exists(rendered):
    for overlay, found in rendered.items():
        names = {kind: {one["metadata"]["name"] for one in found if one["kind"] == kind}
                 for kind in ("ServiceAccount", "Role")}  # fmt: skip
        for one in found:
            if one["kind"] == "FlinkDeployment":
                assert one["spec"]["serviceAccount"] in names["ServiceAccount"], overlay
            if one["kind"] == "RoleBinding":
                assert one["roleRef"]["name"] in names["Role"], overlay
                assert {s["name"] for s in one["subjects"]} <= names["ServiceAccount"], overlay
                assert {s["namespace"] for s in one["subjects"]} == {one["metadata"]["namespace"]}


def test_no_role_names_all_verbs_or_reads_secrets(resources):
    for where, role in of_kind(resources, "Role").items():
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], where
            assert not {"secrets", "pods/exec"} & set(rule["resources"]), where


# --- network -------------------------------------------------------------------------------


def test_everything_is_denied_first_and_the_page_is_open_to_the_operator_alone(rendered):
    for found in rendered.values():
        policies = {one["metadata"]["name"]: one["spec"] for one in found
                    if one["kind"] == "NetworkPolicy"}  # fmt: skip
        deny = policies["default-deny"]
        assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for name, policy in policies.items():
            for rule in policy.get("ingress", []):
                assert rule["from"], f"{name} lets everybody in"
                if any(port["port"] == 8081 for port in rule["ports"]):
                    froms = {str(peer) for peer in rule["from"]}
                    assert any(word in str(froms) for word in ("flink-operator", f"'{name}'"))


def test_the_open_ports_are_those_flink_listens_on(rendered, deployments):
    own = {port for one in rendered["prod"] if one["kind"] == "NetworkPolicy"
           and one["metadata"]["name"] in {"recommend", "understand", "learn"}
           for rule in one["spec"]["ingress"] for port in expanded(rule["ports"])}  # fmt: skip
    keys = ("taskmanager.data.port", "taskmanager.rpc.port", "jobmanager.rpc.port",
            "blob.server.port", "rest.port")  # fmt: skip
    for where, spec in deployments.items():
        assert {int(spec["flinkConfiguration"][key]) for key in keys} == own, where


def expanded(ports):
    return [n for port in ports for n in range(port["port"], port.get("endPort", port["port"]) + 1)]


def test_probes_ask_ports_that_flink_listens_on(deployments):
    for where, spec in deployments.items():
        config = spec["flinkConfiguration"]
        for role, ports in (
            ("jobManager", {"rest.port", "jobmanager.rpc.port"}),
            ("taskManager", {"taskmanager.rpc.port"}),
        ):
            container = spec[role]["podTemplate"]["spec"]["containers"][0]
            probes = [probe for name, probe in container.items() if name.endswith("Probe")]
            assert len(probes) >= 2, where
            asked = {str((p.get("tcpSocket") or p["httpGet"])["port"]) for p in probes}
            assert asked <= {config[key] for key in ports}, where


# --- what runs -----------------------------------------------------------------------------


def test_images_are_pinned_to_the_projects_version(resources):
    for where, _, container in containers(resources):
        name, _, tag = container["image"].rpartition(":")
        assert name.rpartition("/")[2] == "headwater", where
        assert tag == TABLE["version"], where


def test_the_flink_of_the_manifests_is_the_projects(deployments):
    flink = jars.pins()["flink.version"]
    for where, spec in deployments.items():
        assert spec["job"]["jarURI"].endswith(f"/flink-python-{flink}.jar"), where
        major, minor = (int(part) for part in spec["flinkVersion"][1:].split("_"))
        assert (major, minor) == (int(flink[0]), 2), f"{where}: see the comment in flink.yaml"


def test_every_job_has_a_deployment_that_starts_its_module(rendered):
    for found in rendered.values():
        specs = {one["metadata"]["name"]: one["spec"] for one in found
                 if one["kind"] == "FlinkDeployment"}  # fmt: skip
        assert set(KINDS) <= set(specs)
        for job, spec in specs.items():
            args = spec["job"]["args"]
            assert args[args.index("-py") + 1].endswith(f"/site-packages/jobs/{job}.py")
            assert args[args.index("--config") + 1] == SETTINGS
            # Flink's options come before the program's, or they are taken for those.
            assert args.index("-py") < args.index("--config")
            assert spec["serviceAccount"] == job
            assert spec["podTemplate"]["metadata"]["labels"]["app.kubernetes.io/name"] == job


def test_the_settings_of_each_overlay_are_legal_for_the_jobs_that_read_them():
    for overlay in OVERLAYS:
        path = K8S / "overlays" / overlay / "headwater.toml"
        tables = tomllib.loads(path.read_text())
        assert set(KINDS) <= set(tables)
        for job, kind in KINDS.items():
            settings = configuration.load(kind, path)
            assert "127.0.0.1" not in settings.kafka.bootstrap, (overlay, job)
            if job != "learn":  # it writes to Kafka alone
                assert "127.0.0.1" not in settings.cassandra.hosts, (overlay, job)


def test_files_that_settings_name_are_in_the_mounted_secret(rendered):
    text = (K8S / "overlays/prod/headwater.toml").read_text()
    for one in rendered["prod"]:
        if one["kind"] == "FlinkDeployment":
            mounts = one["spec"]["podTemplate"]["spec"]["containers"][0]["volumeMounts"]
            paths = tuple(mount["mountPath"] for mount in mounts)
            for named in re.findall(r'"(/etc/[^"]+)"', text):
                assert named.startswith(paths)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_provision_jobs_call_the_command_as_it_is(overlay, rendered):
    jobs = [one for one in rendered[overlay] if one["kind"] == "Job"]
    given = {}
    for job in jobs:
        container = job["spec"]["template"]["spec"]["containers"][0]
        program, name = container["command"]
        assert program == "headwater"
        command = typer.main.get_command(app).commands[name]
        context = command.make_context(name, list(container["args"]), resilient_parsing=False)
        given |= {key: value for key, value in context.params.items() if value}
        assert job["spec"]["ttlSecondsAfterFinished"] <= 3600
    tables = tomllib.loads((K8S / "overlays" / overlay / "headwater.toml").read_text())
    assert given["kafka"] == tables["recommend"]["kafka"]["bootstrap"]
    assert given["cassandra"].split(":")[0] in tables["recommend"]["cassandra"]["hosts"]


# --- watching ------------------------------------------------------------------------------


def test_the_prometheus_rules_are_those_of_the_rule_files():
    rules = prometheus_rules.RULES
    current = prometheus_rules.MANIFEST.read_text("utf-8")
    assert current == prometheus_rules.manifest(rules), "run: python -m k8s.prometheus_rules"
    groups = [group for path in sorted(rules.glob("*.yaml"))
              for group in yaml.safe_load(path.read_text())["groups"]]  # fmt: skip
    assert yaml.safe_load(current)["spec"]["groups"] == groups


def test_a_rule_file_of_another_form_is_refused(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("alerts: []\n")
    with pytest.raises(ValueError, match=r"x\.yaml"):
        prometheus_rules.groups(tmp_path)


def test_the_pod_monitor_meets_every_flink_pod_at_a_port_it_opens(rendered):
    for found in rendered.values():
        (monitor,) = [one["spec"] for one in found if one["kind"] == "PodMonitor"]
        wanted = monitor["selector"]["matchLabels"].items()
        pods = all_pods([("x " + one["metadata"]["name"], one) for one in found])
        flink = [pod for pod in pods.values() if pod["metadata"]["labels"].get("component")]
        assert len(flink) == 6
        for pod in flink:
            assert wanted <= pod["metadata"]["labels"].items()
            ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
            assert {one["port"] for one in monitor["podMetricsEndpoints"]} <= ports


def test_disruption_budgets_meet_pods_that_there_are(rendered):
    for found in rendered.values():
        pods = all_pods([("x " + one["metadata"]["name"], one) for one in found])
        for one in found:
            if one["kind"] == "PodDisruptionBudget":
                wanted = one["spec"]["selector"]["matchLabels"].items()
                assert any(wanted <= pod["metadata"]["labels"].items() for pod in pods.values())


def test_a_gpu_is_asked_for_by_understand_in_production_alone(rendered):
    for overlay, found in rendered.items():
        for one in found:
            if one["kind"] == "FlinkDeployment":
                wants = "external-resources" in one["spec"]["flinkConfiguration"]
                assert wants == (overlay == "prod" and one["metadata"]["name"] == "understand")


def test_the_guide_names_every_overlay_and_every_secret(rendered):
    guide = (PROJECT / "deploy" / "README.md").read_text()
    for overlay in OVERLAYS:
        assert f"k8s/overlays/{overlay}" in guide
    for secret in set(
        re.findall(r"headwater-(?:recommend|understand|learn|provision)", str(rendered))
    ):
        assert secret in guide
    for line in re.findall(r"^\s*(kubectl .*)$", guide, re.MULTILINE):
        assert shlex.split(line)


def test_taskmanagers_alone_leave_out_to_wait_for_the_disk(deployments):
    for where, one in deployments.items():
        config = one["flinkConfiguration"]
        loaded = {key: value for key, value in config.items() if key.endswith("LD_PRELOAD")}
        assert loaded == {"containerized.taskmanager.env.LD_PRELOAD": "libeatmydata.so.1"}, where
