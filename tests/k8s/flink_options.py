"""What Flink itself says of configurations: run as a program, since it starts a JVM.

Reads {name: {"config": {key: value}, "jobmanager": size, "taskmanager": size}} as JSON from its
input and prints {name: {"unknown": [...], "illegal": {...}, "memory": {...}}}: keys that are no
ConfigOption, values that Flink cannot read as the option's type, and the pools that Flink makes of
the sizes, in bytes.
"""

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

NAME = r"[\w-]+"
REPORTER_PORT = re.compile(r"metrics\.reporter\.\w+\.port")
"""Read by the Prometheus reporter from what is left under its name: no ConfigOption."""


def class_names(folder: Path) -> list[str]:
    """Classes of Flink's jars that may hold options, by their names."""
    found = set()
    for jar in [*folder.glob("lib/*.jar"), *folder.glob("opt/flink-python-*.jar")]:
        with zipfile.ZipFile(jar) as archive:
            found.update(
                name[:-6].replace("/", ".")
                for name in archive.namelist()
                if re.fullmatch(r"org/apache/flink/[\w/]*Options(Internal)?\.class", name)
            )
    return sorted(found)


def named(key: str) -> str:
    """Regular expression of a key in which `<something>` stands for any name."""
    return NAME.join(re.escape(part) for part in re.split("<[^>]*>", key))


def config_options(jvm: Any, folder: Path) -> dict[str, Any]:
    """Regular expression of a key → ConfigOption."""
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    option_class = loader.loadClass("org.apache.flink.configuration.ConfigOption")
    suffix = loader.loadClass("org.apache.flink.annotation.docs.Documentation$SuffixOption")
    found: dict[str, Any] = {}
    for name in class_names(folder):
        for field in loader.loadClass(name).getFields():
            if field.getType() != option_class:
                continue
            option = field.get(None)
            key = named(option.key())
            if annotation := field.getAnnotation(suffix):
                key = rf"{named(annotation.value())}\.{key}"
            found[key] = option
    return found


def configured(jvm: Any, pairs: dict[str, str]) -> Any:
    config = jvm.org.apache.flink.configuration.Configuration()
    for key, value in pairs.items():
        config.setString(key, value)
    return config


def names_variable(jvm: Any, key: str) -> bool:
    """Whether the rest of a key is the name of an environment variable of a pod."""
    flink = jvm.org.apache.flink.configuration.ResourceManagerOptions
    prefixes = flink.CONTAINERIZED_TASK_MANAGER_ENV_PREFIX, flink.CONTAINERIZED_MASTER_ENV_PREFIX
    return key.startswith(prefixes)


def judge(jvm: Any, options: dict[str, Any], config: dict[str, str]) -> dict[str, Any]:
    """Unknown keys and unreadable values of one configuration."""
    from py4j.protocol import Py4JJavaError

    unknown, illegal = [], {}
    for key, value in config.items():
        option = next((one for form, one in options.items() if re.fullmatch(form, key)), None)
        if option is None and not (REPORTER_PORT.fullmatch(key) or names_variable(jvm, key)):
            unknown.append(key)
        elif option is not None:
            try:
                configured(jvm, {option.key(): value}).get(option)
            except Py4JJavaError as error:
                illegal[key] = str(error.java_exception.getMessage())
    return {"unknown": unknown, "illegal": illegal}


def memory(jvm: Any, config: dict[str, str], taskmanager: str, jobmanager: str) -> dict[str, int]:
    """The pools of both kinds of process, in bytes.

    Raises:
        Py4JJavaError: The sizes contradict each other.
    """
    clusterframework = jvm.org.apache.flink.runtime.clusterframework
    sized = {**config, "taskmanager.memory.process.size": taskmanager}
    worker = clusterframework.TaskExecutorProcessUtils.processSpecFromConfig(configured(jvm, sized))
    sized = {**config, "jobmanager.memory.process.size": jobmanager}
    master = jvm.org.apache.flink.runtime.jobmanager.JobManagerProcessUtils
    leader = master.processSpecFromConfig(configured(jvm, sized))
    return {
        "taskmanager": worker.getTotalProcessMemorySize().getBytes(),
        "overhead": worker.getJvmMetaspaceAndOverhead().getOverhead().getBytes(),
        "heap": worker.getJvmHeapMemorySize().getBytes(),
        "managed": worker.getManagedMemorySize().getBytes(),
        "network": worker.getNetworkMemSize().getBytes(),
        "jobmanager": leader.getTotalProcessMemorySize().getBytes(),
        "jobmanager_heap": leader.getJvmHeapMemorySize().getBytes(),
    }


def main() -> None:
    import pyflink
    from pyflink.java_gateway import get_gateway

    asked = json.load(sys.stdin)
    jvm = get_gateway().jvm
    options = config_options(jvm, Path(pyflink.__file__).parent)
    answers = {
        name: {
            **judge(jvm, options, one["config"]),
            "memory": memory(jvm, one["config"], one["taskmanager"], one["jobmanager"]),
        }
        for name, one in asked.items()
    }
    json.dump({"options": len(options), "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
