"""Configuration files, Flink's lib folder, and what each service is started with."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deploy.stack import image, render, services
from deploy.stack.errors import ServiceError
from deploy.stack.layout import PROJECT, Layout
from deploy.stack.services import Tools
from deploy.stack.settings import StackSettings
from operators.flink.cores import STAGE_CORE

WHEEL_CONF = "env:\n  java:\n    opts:\n      all: --add-opens=java.base/java.lang=ALL-UNNAMED\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """A Flink, jars and a Java that are only folders."""
    flink = tmp_path / "site-packages" / "pyflink"
    for name in ("lib/flink-dist-2.3.0.jar", "opt/flink-python-2.3.0.jar", "opt/other.jar"):
        (flink / name).parent.mkdir(parents=True, exist_ok=True)
        (flink / name).touch()
    (flink / "conf").mkdir()
    (flink / "conf" / "config.yaml").write_text(WHEEL_CONF)
    (flink / "conf" / "log4j-console.properties").write_text("status = warn\n")
    jars = tmp_path / "jars"
    for name in ("flink/flink-sql-connector-kafka-5.0.0-2.2.jar", "cassandra/jamm-0.4.0.jar"):
        (jars / name).parent.mkdir(parents=True, exist_ok=True)
        (jars / name).touch()
    return Tools(tmp_path / "java", jars, flink, Path("/venv/bin/python"))


def flink_config(settings: StackSettings, layout: Layout, tools: Tools) -> dict[str, str]:
    return render.flink_config(settings, layout, tools.flink / "conf" / "config.yaml", tools.python)


def test_a_template_without_a_value_for_a_name_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text("a=$known\nb=$unknown\n")
    with pytest.raises(ServiceError, match="unknown"):
        render.fill(template, {"known": 1})


def test_kafka_listens_on_the_loopback_alone_and_makes_no_topics_by_itself(
    layout: Layout,
) -> None:
    text = render.kafka_properties(StackSettings(kafka_port=19092), layout)
    pairs = dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")
    )
    assert pairs["listeners"] == "CLIENT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert pairs["controller.quorum.voters"] == "1@127.0.0.1:19093"
    assert pairs["auto.create.topics.enable"] == "false"
    assert pairs["log.dirs"] == str(layout.data / "kafka")
    assert int(pairs["message.max.bytes"]) == 16 * 2**20


def test_flink_gets_thread_mode_checkpoints_and_loopback_addresses(
    layout: Layout, tools: Tools
) -> None:
    config = flink_config(StackSettings(), layout, tools)
    assert config["python.execution-mode"] == "thread"
    assert config["python.executable"] == "/venv/bin/python"
    assert config["taskmanager.numberOfTaskSlots"] == "1"
    assert config["state.backend.type"] == "rocksdb"
    assert config["execution.checkpointing.interval"] == "30s"
    assert config["execution.checkpointing.incremental"] == "true"
    assert config["execution.checkpointing.dir"] == layout.checkpoints.as_uri()
    retention = config["execution.checkpointing.externalized-checkpoint-retention"]
    assert retention == "RETAIN_ON_CANCELLATION"
    addresses = [
        key for key in config if key.endswith(("address", "bind-host", "taskmanager.host"))
    ]
    assert len(addresses) == 6
    assert {config[key] for key in addresses} == {"127.0.0.1"}


def test_the_shipped_doors_into_the_jdk_are_kept(layout: Layout, tools: Tools) -> None:
    config = flink_config(StackSettings(), layout, tools)
    assert config["env.java.opts.all"] == "--add-opens=java.base/java.lang=ALL-UNNAMED"


def test_settings_reach_flinks_configuration(layout: Layout, tools: Tools) -> None:
    settings = StackSettings(
        flink_rest_port=18081,
        taskmanager_memory="4g",
        state_backend="hashmap",
        checkpoint_interval_s=3,
        taskmanager_java_options="-Xlog:gc #1: all",
    )
    config, usual = (flink_config(one, layout, tools) for one in (settings, StackSettings()))
    options = "env.java.opts.taskmanager"
    assert config[options] == f"{usual[options]} -Xlog:gc #1: all"
    assert config["rest.port"] == config["rest.bind-port"] == "18081"
    assert config["jobmanager.rpc.port"] == "16123"
    assert config["taskmanager.memory.process.size"] == "4g"
    assert config["state.backend.type"] == "hashmap"
    assert config["taskmanager.memory.managed.fraction"] == render.MANAGED_FRACTION["hashmap"]
    assert config["execution.checkpointing.interval"] == "3s"


def test_the_reporter_is_there_only_with_metrics(layout: Layout, tools: Tools) -> None:
    assert flink_config(StackSettings(), layout, tools)["metrics.reporters"] == "prom"
    without = flink_config(StackSettings(metrics=False), layout, tools)
    assert not any(key.startswith("metrics.") for key in without)


def test_lib_holds_flink_flink_python_and_the_connector_and_nothing_stale(
    layout: Layout, tools: Tools
) -> None:
    layout.lib.mkdir()
    (layout.lib / "flink-dist-2.2.0.jar").symlink_to("/nowhere/flink-dist-2.2.0.jar")
    (layout.lib / "flink-dist-2.3.0.jar").symlink_to("/nowhere/flink-dist-2.3.0.jar")
    render.link_flink_jars(layout, tools.flink, tools.jars)
    assert {link.name: link.resolve().exists() for link in layout.lib.iterdir()} == {
        "flink-dist-2.3.0.jar": True,
        "flink-python-2.3.0.jar": True,
        "flink-sql-connector-kafka-5.0.0-2.2.jar": True,
    }


def test_linking_again_touches_nothing(layout: Layout, tools: Tools) -> None:
    render.link_flink_jars(layout, tools.flink, tools.jars)
    before = {link: link.lstat().st_ctime_ns for link in layout.lib.iterdir()}
    render.link_flink_jars(layout, tools.flink, tools.jars)
    assert {link: link.lstat().st_ctime_ns for link in layout.lib.iterdir()} == before


def test_a_flink_without_flink_python_is_an_error(layout: Layout, tools: Tools) -> None:
    (tools.flink / "opt" / "flink-python-2.3.0.jar").unlink()
    with pytest.raises(ServiceError, match="0 flink-python jars"):
        render.link_flink_jars(layout, tools.flink, tools.jars)


def test_the_written_configuration_is_what_flink_will_read(layout: Layout, tools: Tools) -> None:
    services.prepare_flink(StackSettings(), layout, tools)
    written = yaml.safe_load((layout.conf / "flink" / "config.yaml").read_text())
    assert written == flink_config(StackSettings(), layout, tools)
    assert (layout.conf / "flink" / "log4j-console.properties").is_file()
    assert layout.logs("rocksdb").is_dir()


def test_the_fingerprint_changes_with_the_settings(layout: Layout, tools: Tools) -> None:
    same = services.prepare_flink(StackSettings(), layout, tools)
    assert services.prepare_flink(StackSettings(), layout, tools) == same
    other = StackSettings(taskmanager_memory="3g")
    assert services.prepare_flink(other, layout, tools) != same


def test_cassandra_keeps_its_vector_writers_few(layout: Layout, tools: Tools) -> None:
    launch = services.cassandra(StackSettings(cassandra_port=19042), layout, tools)
    config = next(part for part in launch.command if part.startswith("-Dcassandra.config=file"))
    text = Path(config.removeprefix("-Dcassandra.config=file://")).read_text()
    assert yaml.safe_load(text)["concurrent_writes"] == 2
    assert f"-javaagent:{tools.jars}/cassandra/jamm-0.4.0.jar" in launch.command
    assert "-Dcassandra.settings.native_transport_port=19042" in launch.command
    assert "-Dcassandra.settings.storage_port=17000" in launch.command
    assert f"-Dcassandra.storagedir={layout.data}/cassandra" in launch.command
    assert not any("jmx" in part for part in launch.command)


def test_cassandras_timers_may_be_late(layout: Layout, tools: Tools) -> None:
    command = services.cassandra(StackSettings(), layout, tools).command
    start = command[: command.index(tools.java)]
    shown = subprocess.check_output([*start, "cat", "/proc/self/timerslack_ns"], text=True)
    assert shown == "1000000\n"


def test_cassandra_without_its_agent_is_an_error(layout: Layout, tools: Tools) -> None:
    (tools.jars / "cassandra" / "jamm-0.4.0.jar").unlink()
    with pytest.raises(ServiceError, match="no jamm jar"):
        services.cassandra(StackSettings(), layout, tools)


def test_each_taskmanager_start_has_its_own_name_and_a_fixed_metrics_port(
    layout: Layout, tools: Tools
) -> None:
    settings = StackSettings()
    first = services.flink_process("taskmanager-2", "x", settings, layout, tools)
    second = services.flink_process("taskmanager-2", "x", settings, layout, tools)
    assert first.resource_id.startswith("taskmanager-2-")
    assert first.resource_id != second.resource_id
    assert f"taskmanager.resource-id={first.resource_id}" in first.command
    assert "metrics.reporter.prom.port=9251" in first.command
    assert first.command[:2] == [str(tools.flink / "bin" / "taskmanager.sh"), "start-foreground"]


@pytest.mark.parametrize(
    ("cores", "given"), [({0, 1}, ["0", "1", "0"]), ({4, 6, 9}, ["4", "6", "9"]), ({3}, [None] * 3)]
)
def test_each_taskmanagers_stages_get_a_core_where_there_are_several(
    layout: Layout, tools: Tools, monkeypatch: pytest.MonkeyPatch, cores: set[int], given: list[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores)
    settings = StackSettings()
    launches = [
        services.flink_process(name, "x", settings, layout, tools)
        for name in ("taskmanager-1", "taskmanager-2", "taskmanager-3", "jobmanager")
    ]
    assert [one.env.get(STAGE_CORE) for one in launches] == [*given, None]


@pytest.mark.parametrize(
    ("taskmanagers", "cores", "beside"),
    [
        (1, [0, 1], {1}), (2, [0, 1], set()), (3, [0, 1], set()), (1, [3], set()),
        (0, [0, 1], {0, 1}), (1, [4, 6, 9], {6, 9}), (2, [4, 6, 9], {9}),
    ],
)  # fmt: skip
def test_services_are_left_the_cores_that_no_stage_is_kept_to(
    taskmanagers: int, cores: list[int], beside: set[int]
) -> None:
    assert services.cores_beside(taskmanagers, cores) == beside


@pytest.mark.parametrize(
    ("has", "loaded", "loads"),
    [
        ("", "", ""),
        ("", "mine.so", "mine.so"),
        ("jemalloc", "", "jemalloc.so.2"),
        ("eatmydata", "mine.so", "mine.so:eatmydata.so.2"),
        ("jemalloc eatmydata", "", "jemalloc.so.2:eatmydata.so.2"),
        ("jemalloc eatmydata", "/opt/libjemalloc.so", "/opt/libjemalloc.so:eatmydata.so.2"),
    ],
)
def test_a_taskmanager_loads_what_spares_it_work_beside_what_it_is_told_to(
    layout: Layout, tools: Tools, monkeypatch: pytest.MonkeyPatch,
    has: str, loaded: str, loads: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        services, "library", lambda name: f"{name}.so.2" if name in has.split() else None
    )
    monkeypatch.setenv("LD_PRELOAD", loaded)
    env = services.flink_process("taskmanager-1", "x", StackSettings(), layout, tools).env
    assert env["LD_PRELOAD"] == loads


def test_a_jobmanager_waits_for_the_disk(
    layout: Layout, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "library", lambda name: f"{name}.so.2")
    monkeypatch.setenv("LD_PRELOAD", "")
    env = services.flink_process(services.JOBMANAGER, "x", StackSettings(), layout, tools).env
    assert env["LD_PRELOAD"] == ""


@pytest.mark.parametrize("make", [services.kafka, services.cassandra])
def test_a_lasting_stack_compiles_as_servers_do(
    layout: Layout, tools: Tools, make: Callable[..., services.Launch]
) -> None:
    brief, lasting = (
        make(StackSettings(lasting=lasting), layout, tools) for lasting in (False, True)
    )
    assert [one for one in brief.command if one not in lasting.command] == [services.QUICK]
    assert brief.config != lasting.config


def test_flinks_environment_finds_pemja_the_project_and_our_lib(
    layout: Layout, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLINK_CONF_DIR", "/somebody/elses")
    monkeypatch.setenv("FLINK_ENV_JAVA_OPTS", "-Xmx1m")
    monkeypatch.setenv("PYTHONHOME", "/broken")
    monkeypatch.setenv("PYTHONPATH", "/broken")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    env = services.flink_environment(layout, tools)
    assert env["PYTHONPATH"].split(os.pathsep) == [str(tools.flink.parent), str(PROJECT)]
    assert env["FLINK_LIB_DIR"] == str(layout.lib)
    assert env["FLINK_CONF_DIR"] == str(layout.conf / "flink")
    assert env["FLINK_HOME"] == str(tools.flink)
    assert env["PATH"].split(os.pathsep)[0] == "/venv/bin"
    assert env["TMPDIR"].startswith(str(layout.tmp))
    assert not {"PYTHONHOME", "PYTHONDONTWRITEBYTECODE"} & set(env)
    assert "FLINK_ENV_JAVA_OPTS" not in env


def test_the_installed_flink_is_found_without_importing_it() -> None:
    assert (services.flink_home() / "bin" / "flink").is_file()
    assert services.flink_home().parent == Path(sys.prefix) / "lib/python3.11/site-packages"


def test_an_image_differs_from_the_laptop_only_in_addresses_folders_and_log(
    tmp_path: Path, tools: Tools
) -> None:
    image.make_flink(tools.flink, tools.python)
    written = yaml.safe_load((tools.flink / "conf" / "config.yaml").read_text())
    (tools.flink / "conf" / "config.yaml").write_text(WHEEL_CONF)
    local = flink_config(StackSettings(), Layout(tmp_path / "home"), tools)
    differing = {key for key in local.keys() | written.keys() if local.get(key) != written.get(key)}
    folders = {"execution.checkpointing.dir", "execution.checkpointing.savepoint-dir"}
    assert differing == {*image.CONTAINER, *image.LAPTOP_ONLY, *folders}
    assert "127.0.0.1" not in str(written)
    assert (tools.flink / "lib" / "flink-python-2.3.0.jar").resolve().is_file()
    assert (tools.flink / "data" / "flink" / "checkpoints").is_dir()
