"""Every key of every FlinkDeployment is one that Flink or the operator knows, and the sizes fit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.stack import render
from deploy.stack.services import flink_home
from tests.k8s.conftest import K8S

HERE = Path(__file__).parent
TEMPLATE = HERE.parent.parent / "deploy" / "stack" / "flink" / "config.yaml"
MIB = 1 << 20

DIFFERENT = {
    "jobmanager.rpc.port", "rest.port", "python.executable", "python.client.executable",
    "env.java.opts.jobmanager", "env.java.opts.taskmanager", "io.tmp.dirs",
    "state.backend.rocksdb.log.dir", "execution.checkpointing.dir",
    "execution.checkpointing.savepoint-dir", "taskmanager.memory.jvm-overhead.min",
    "taskmanager.memory.jvm-overhead.max", "taskmanager.memory.managed.fraction",
}  # fmt: skip
"""Places and sizes."""

SLOWER = {
    "execution.checkpointing.interval", "execution.checkpointing.min-pause",
    "execution.checkpointing.timeout", "execution.checkpointing.num-retained",
    "restart-strategy.exponential-delay.max-backoff",
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    "heartbeat.interval", "heartbeat.timeout",
}  # fmt: skip
"""Larger state, object stores and networks between nodes take longer than a laptop's disk."""


def asked(spec, **more):
    return {
        "config": {**spec["flinkConfiguration"], **more},
        "jobmanager": spec["jobManager"]["resource"]["memory"],
        "taskmanager": spec["taskManager"]["resource"]["memory"],
    }


@pytest.fixture(scope="module")
def told(deployments):
    """What Flink says of all deployments, and of one with two mistakes."""
    questions = {where: asked(spec) for where, spec in deployments.items()}
    first = next(iter(deployments.values()))
    questions["mistaken"] = asked(first, **{"heartbeat.timeot": "1s", "heartbeat.timeout": "soon"})
    done = subprocess.run(
        [sys.executable, str(HERE / "flink_options.py")], input=json.dumps(questions),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout)
    assert answers["options"] > 900
    return answers["answers"]


@pytest.fixture(scope="module")
def operator_options():
    lines = (HERE / "operator_options.txt").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


@pytest.mark.flink
def test_every_key_is_an_option_of_flink_or_of_the_operator(told, deployments, operator_options):
    for where in deployments:
        foreign = set(told[where]["unknown"]) - operator_options
        assert foreign == set(), where


@pytest.mark.flink
def test_every_value_is_of_its_options_type(told, deployments):
    assert [told[where]["illegal"] for where in deployments if told[where]["illegal"]] == []


@pytest.mark.flink
def test_a_mistaken_key_and_a_mistaken_value_are_found(told, operator_options):
    assert set(told["mistaken"]["unknown"]) - operator_options == {"heartbeat.timeot"}
    assert list(told["mistaken"]["illegal"]) == ["heartbeat.timeout"]


@pytest.mark.flink
def test_flink_makes_sound_pools_of_the_sizes_of_the_pods(told, deployments):
    for where, spec in deployments.items():
        pools = told[where]["memory"]
        for role in ("jobmanager", "taskmanager"):
            name = role.replace("manager", "Manager")
            assert pools[role] == mib(spec[name]["resource"]["memory"]) * MIB, where
        assert pools["overhead"] == mib(spec["flinkConfiguration"][OVERHEAD]) * MIB, where
        # Less heap than this and Flink's own classes and the planner's plans take most of it.
        assert pools["heap"] >= 400 * MIB, where
        assert pools["jobmanager_heap"] >= 512 * MIB, where
        assert pools["managed"] >= 256 * MIB, where


OVERHEAD = "taskmanager.memory.jvm-overhead.max"


def mib(size: str) -> int:
    """Flink's `g` and `m` are powers of two, as Kubernetes gets them from the operator."""
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1]]


def test_pythons_share_is_fixed_and_at_least_the_local_stacks(deployments):
    for where, spec in deployments.items():
        config = spec["flinkConfiguration"]
        assert config["taskmanager.memory.jvm-overhead.min"] == config[OVERHEAD], where
        assert mib(config[OVERHEAD]) >= 768, where


def test_the_jobs_run_as_on_the_local_stack_but_for_places_sizes_and_patience(deployments):
    text = re.sub(r"\$\{?\w+\}?", "filled-in", TEMPLATE.read_text())
    local = render.flatten(yaml.safe_load(text))
    for where, spec in deployments.items():
        config = spec["flinkConfiguration"]
        same = (config.keys() & local.keys()) - DIFFERENT - SLOWER
        same -= {"state.backend.type"}  # filled in
        assert len(same) >= 13
        assert {k: config[k] for k in same} == {k: local[k] for k in same}, where
        assert config["state.backend.type"] == "rocksdb"


def test_the_reporter_leaves_out_what_the_local_stacks_does(deployments):
    for where, spec in deployments.items():
        left_out = spec["flinkConfiguration"]["metrics.reporter.prom.filter.excludes"]
        assert left_out.split(";") == list(render.UNREPORTED), where


def test_the_doors_into_the_jdk_are_the_distributions(deployments):
    shipped = yaml.safe_load((flink_home() / "conf" / "config.yaml").read_text())
    doors = render.flatten(shipped)["env.java.opts.all"].split()
    for where, spec in deployments.items():
        assert spec["flinkConfiguration"]["env.java.opts.all"].split() == doors, where


def test_what_the_operator_asks_of_a_stateful_job_is_there(deployments):
    for where, spec in deployments.items():
        config = spec["flinkConfiguration"]
        assert spec["job"]["upgradeMode"] == "savepoint", where
        assert config["high-availability.type"] == "kubernetes", where
        for key in ("execution.checkpointing.dir", "execution.checkpointing.savepoint-dir"):
            assert config[key], where
        # The operator sets these itself and refuses a deployment that does.
        assert not {"kubernetes.namespace", "kubernetes.cluster-id"} & config.keys(), where
        assert not [key for key in config if key.endswith("memory.process.size")], where


def test_no_two_jobs_share_a_folder_of_an_object_store(rendered):
    for key in ("execution.checkpointing.dir", "high-availability.storageDir"):
        found = [one["spec"]["flinkConfiguration"][key] for one in rendered["prod"]
                 if one["kind"] == "FlinkDeployment"]  # fmt: skip
        assert len(found) == len(set(found)) == 3


def test_the_autoscaler_stays_within_the_buckets_of_the_state(deployments):
    from jobs.settings import Recommend, load

    settings = load(Recommend, K8S / "overlays/prod/headwater.toml")
    for where, spec in deployments.items():
        config = spec["flinkConfiguration"]
        if config.get("job.autoscaler.enabled") == "true":
            most = int(config["job.autoscaler.vertex.max-parallelism"])
            assert spec["job"]["parallelism"] <= most <= settings.buckets, where
            assert config["job.autoscaler.memory.tuning.enabled"] == "false", where
