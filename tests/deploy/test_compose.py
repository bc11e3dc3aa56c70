"""The image and the compose file describe the very stack that `headwater up` starts."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from deploy.cli import app
from deploy.stack import jars, topics
from deploy.stack.layout import PACKAGE, PROJECT
from deploy.stack.settings import StackSettings
from operators.flink import compiled

DEPLOY = PACKAGE.parent
PROJECT_TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]


@pytest.fixture(scope="module")
def dockerfile() -> list[str]:
    """The Dockerfile's instructions, comments removed, continued lines joined."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def stages(dockerfile: list[str]) -> list[tuple[str, str]]:
    """(image, name) of each stage; the last has no name."""
    found = [re.match(r"FROM (\S+)(?: AS (\S+))?$", line) for line in dockerfile]
    return [(match[1], match[2] or "") for match in found if match]


def test_the_services_are_those_of_the_local_stack_and_one_that_provisions(services) -> None:
    assert set(services) == {"kafka", "cassandra", "provision", "jobmanager", "taskmanager"}


def test_image_versions_are_the_pins(services) -> None:
    pins = jars.pins()
    assert services["kafka"]["image"] == f"apache/kafka:{pins['kafka.version']}"
    assert services["cassandra"]["image"] == f"cassandra:{pins['cassandra.version']}"


def test_every_service_has_an_image_and_known_dependencies(services) -> None:
    conditions = {"service_healthy", "service_completed_successfully"}
    for name, service in services.items():
        assert service["image"], name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in conditions
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]


def test_everything_lasting_has_a_health_check_or_waits_for_one(services) -> None:
    for name in ("kafka", "cassandra", "jobmanager"):
        check = services[name]["healthcheck"]
        assert check["test"]
        assert check["retries"] * int(check["interval"].rstrip("s")) >= 60
    assert "jobmanager" in services["taskmanager"]["depends_on"]


def test_ports_are_published_on_the_loopback_under_the_standard_numbers(services) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    settings = StackSettings()
    numbers = (settings.kafka_port, settings.cassandra_port, settings.flink_rest_port)
    assert sorted(published) == sorted(f"127.0.0.1:{number}:{number}" for number in numbers)


def test_named_volumes_are_declared_and_all_used(compose) -> None:
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    }
    assert used == set(compose["volumes"])


def test_kafka_has_the_limits_of_the_local_broker(services) -> None:
    local = dict(
        line.split("=", 1)
        for line in (PACKAGE / "kafka" / "server.properties").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    container = services["kafka"]["environment"]
    same = [
        "message.max.bytes",
        "replica.fetch.max.bytes",
        "transaction.max.timeout.ms",
        "auto.create.topics.enable",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    ]
    for key in same:
        assert str(container[f"KAFKA_{key.upper().replace('.', '_')}"]) == local[key]


def test_the_broker_takes_what_its_topics_take(services) -> None:
    limit = int(services["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"])
    for topic in topics.read_topics():
        assert int(topic.config.get("max.message.bytes", 0)) <= limit


def test_cassandra_has_the_settings_of_the_local_node(services) -> None:
    local = yaml.safe_load((PACKAGE / "cassandra" / "cassandra.yaml").read_text())
    options = services["cassandra"]["environment"]["JVM_EXTRA_OPTS"].split()
    for name in (
        "concurrent_writes",
        "batch_size_warn_threshold",
        "unlogged_batch_across_partitions_warn_threshold",
    ):
        assert f"-Dcassandra.settings.{name}={local[name]}" in options
    assert "-Dcassandra.config.allow_system_properties=true" in options


def test_the_provision_command_exists_with_these_options(services) -> None:
    name, *words = services["provision"]["command"]
    command = typer.main.get_command(app).commands[name]
    context = command.make_context(name, list(words), resilient_parsing=False)
    assert context.params["kafka"] == "kafka:29092"
    assert context.params["cassandra"] == "cassandra:9042"


def test_each_taskmanager_has_one_slot(services) -> None:
    assert services["taskmanager"]["environment"]["TASK_MANAGER_NUMBER_OF_TASK_SLOTS"] == 1


def test_taskmanagers_alone_leave_out_to_wait_for_the_disk(services, dockerfile) -> None:
    """By a library that the image installs; Flink's entry point adds jemalloc behind it."""
    loaded = {name: service.get("environment", {}).get("LD_PRELOAD")
              for name, service in services.items()}  # fmt: skip
    assert {name for name, library in loaded.items() if library} == {"taskmanager"}
    assert loaded["taskmanager"] == "libeatmydata.so.1"
    assert any("apt-get install" in line and "libeatmydata1" in line for line in dockerfile)


def test_the_images_flink_and_python_are_the_projects(dockerfile) -> None:
    images = [image for image, _ in stages(dockerfile)]
    flink = jars.pins()["flink.version"]
    assert f"apache-flink=={flink}" in PROJECT_TABLE["dependencies"]
    assert images[0] == f"flink:{flink}-java17"
    python = re.match(r">=(3\.\d+),", PROJECT_TABLE["requires-python"])
    assert python is not None
    assert images[-1] == images[-2] == f"python:{python[1]}-slim-bookworm"
    assert f"PYTHONPATH=/opt/venv/lib/python{python[1]}/site-packages" in " ".join(dockerfile)


def test_the_image_runs_as_an_ordinary_user(dockerfile) -> None:
    last_from = max(i for i, line in enumerate(dockerfile) if line.startswith("FROM"))
    users = [line for line in dockerfile[last_from:] if line.startswith("USER")]
    assert users[-1] == "USER flink"


def test_modules_are_compiled_where_their_user_cannot_write(dockerfile) -> None:
    compiles = dockerfile.index("ENV UV_COMPILE_BYTECODE=1")
    installs = [i for i, line in enumerate(dockerfile) if "uv pip install" in line]
    names = {max(i for i, line in enumerate(dockerfile[:at]) if line.startswith("FROM"))
             for at in (compiles, *installs)}  # fmt: skip
    assert len(names) == 1, "a variable of one stage says nothing in another"
    assert compiles < min(installs)


def test_loops_are_compiled_for_any_processor_and_found_where_workers_look(dockerfile) -> None:
    last_from = max(i for i, line in enumerate(dockerfile) if line.startswith("FROM"))
    made, runs = " ".join(dockerfile[:last_from]), " ".join(dockerfile[last_from:])
    for variable in ("NUMBA_CPU_NAME=generic", 'NUMBA_CPU_FEATURES=""'):
        assert variable in made
        assert variable in runs, "what is compiled for another processor is not found"
    assert "NUMBA_CACHE_DIR=/opt/kernels /opt/venv/bin/python -m tests.bench.stages" in made
    assert "COPY --from=python /opt/kernels /opt/kernels" in runs
    assert f"{compiled.SHIPPED}=/opt/kernels" in runs
    assert re.search(rf"{compiled.CACHE}=/tmp/\S+", runs), "the folder that a pod may write to"


def test_every_copied_path_exists_and_comes_from_a_known_stage(dockerfile) -> None:
    names = {name for _, name in stages(dockerfile)}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for line in dockerfile:
        if not line.startswith("COPY"):
            continue
        words = [word for word in line.split()[1:] if not word.startswith("--")]
        origin = re.search(r"--from=(\S+)", line)
        if origin:
            assert origin[1] in names
            continue
        for source in words[:-1]:
            assert (PROJECT / source).exists(), source
            assert Path(source).parts[0] in allowed, f"{source} is not sent to the builder"


def test_all_poms_are_in_the_stage_that_asks_maven(dockerfile) -> None:
    copied = {line.split()[1] for line in dockerfile if line.endswith("pom.xml")}
    assert copied == {str(pom.relative_to(PROJECT)) for pom in jars.poms()}


def test_the_developers_tools_are_removed_from_the_image(dockerfile) -> None:
    line = next(line for line in dockerfile if "pip uninstall" in line)
    removed = set(line.split())
    wanted = {
        re.split(r"[><=~ ]", name)[0] for name in PROJECT_TABLE["optional-dependencies"]["dev"]
    }
    assert {name.lower() for name in wanted} <= removed
