"""The pods that Flink makes of a FlinkDeployment, as far as its templates say."""

import copy
from typing import Any

ROLES = ("jobManager", "taskManager")
MAIN = "flink-main-container"


def merged(base: Any, over: Any) -> Any:
    """As the operator merges templates: tables by key, lists by position."""
    if isinstance(base, dict) and isinstance(over, dict):
        both = {key: merged(base[key], over[key]) for key in base.keys() & over.keys()}
        return {**base, **over, **both}
    if isinstance(base, list) and isinstance(over, list):
        longer = over[len(base) :] if len(over) > len(base) else base[len(over) :]
        return [merged(*pair) for pair in zip(base, over, strict=False)] + longer
    return over


def flink_pod(spec: dict[str, Any], role: str) -> dict[str, Any]:
    """The pod of one role, with Flink's own labels and resources."""
    own = spec[role].get("podTemplate", {})
    pod = copy.deepcopy(merged(spec["podTemplate"], own))
    pod["metadata"]["labels"] |= {
        "app": spec["serviceAccount"],
        "component": role.lower(),
        "type": "flink-native-kubernetes",
    }
    container = pod["spec"]["containers"][0]
    container["image"] = spec["image"]
    return {"apiVersion": "v1", "kind": "Pod", **pod}


def all_pods(resources: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Where → pod: of every role of every FlinkDeployment, and of every Job."""
    found = {}
    for where, one in resources:
        if one["kind"] == "FlinkDeployment":
            found |= {f"{where} {role}": flink_pod(one["spec"], role) for role in ROLES}
        elif one["kind"] == "Job":
            template = copy.deepcopy(one["spec"]["template"])
            found[where] = {"apiVersion": "v1", "kind": "Pod", **template}
    return found
