"""Renders the overlays without kustomize, which is in no Python package.

Knows the fields that k8s/ uses and refuses all others. `test_rendering` compares the result with
that of the real kustomize wherever there is one.
"""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
KNOWN = {
    "apiVersion", "kind", "namespace", "labels", "resources", "configMapGenerator", "images",
    "patches", "configurations",
}  # fmt: skip
HASH_LETTERS = str.maketrans("013ae", "ghkmt")


def read(path: Path) -> list[Resource]:
    """All documents of a file."""
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]


def render(folder: Path) -> list[Resource]:
    """What `kustomize build` makes of a folder, in no particular order."""
    spec = read(folder / "kustomization.yaml")[0]
    if unknown := set(spec) - KNOWN:
        raise NotImplementedError(f"{folder}: {sorted(unknown)}")
    found: list[Resource] = []
    for name in spec.get("resources", []):
        path = folder / name
        found += render(path.resolve()) if path.is_dir() else read(path)
    found += [config_map(folder, one) for one in spec.get("configMapGenerator", [])]
    for patch in spec.get("patches", []):
        apply_patch(found, patch, folder)
    names = [read(folder / name)[0] for name in spec.get("configurations", [])]
    rename(found, names)
    set_images(found, spec.get("images", []), names)
    for resource in found:
        place(resource, spec.get("namespace"))
        for label in spec.get("labels", []):
            resource["metadata"].setdefault("labels", {}).update(label["pairs"])
    return found


def place(resource: Resource, namespace: str | None) -> None:
    """Put a resource, and the accounts it names, into the namespace."""
    if namespace and resource["kind"] == "Namespace":
        resource["metadata"]["name"] = namespace
    elif namespace and resource["kind"] not in CLUSTER_WIDE:
        resource["metadata"]["namespace"] = namespace
        for subject in resource.get("subjects", []):
            subject["namespace"] = namespace


def config_map(folder: Path, generator: dict[str, Any]) -> Resource:
    """A ConfigMap of files, the digest of which goes into its name later."""
    data = {name: (folder / name).read_text("utf-8") for name in generator["files"]}
    meta = {"name": generator["name"], "generated": True}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def digest(data: dict[str, str]) -> str:
    """Kustomize's ten letters for the content of a ConfigMap; it leaves the name empty."""
    content = {"data": data, "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(HASH_LETTERS)


def rename(found: list[Resource], names: list[dict[str, Any]]) -> None:
    """Give generated ConfigMaps their full names, also where they are named."""
    full = {}
    for resource in found:
        if resource["metadata"].pop("generated", False):
            short = resource["metadata"]["name"]
            full[short] = f"{short}-{digest(resource['data'])}"
            resource["metadata"]["name"] = full[short]
    fields = [field for one in names for ref in one["nameReference"] for field in ref["fieldSpecs"]]
    for resource in found:
        for field in fields:
            if resource["kind"] == field["kind"]:
                change(resource, field["path"].split("/"), lambda old: full.get(old, old))


def set_images(found: list[Resource], images: list[Any], names: list[dict[str, Any]]) -> None:
    """Give images their names and tags, in pods and where the configurations say."""
    fields = [(field["kind"], field["path"]) for one in names for field in one["images"]]
    fields += [("Job", "spec/template/spec/containers/image")]
    for image in images:
        new = f"{image.get('newName', image['name'])}:{image['newTag']}"
        for resource in found:
            for kind, path in fields:
                if resource["kind"] == kind:
                    swap = {image["name"]: new}
                    change(resource, path.split("/"), lambda old, swap=swap: swap.get(old, old))


def change(node: Any, path: list[str], new: Callable[[Any], Any]) -> None:
    """Replace the values at a path; lists on the way are gone through."""
    if isinstance(node, list):
        for one in node:
            change(one, path, new)
    elif isinstance(node, dict) and path[0] in node:
        if len(path) == 1:
            node[path[0]] = new(node[path[0]])
        else:
            change(node[path[0]], path[1:], new)


def apply_patch(found: list[Resource], patch: dict[str, Any], folder: Path) -> None:
    """Apply a merge or a list of operations to all resources that are meant."""
    text = patch.get("patch") or (folder / patch["path"]).read_text("utf-8")
    body, target = yaml.safe_load(text), patch["target"]
    meant = [
        one for one in found
        if one["kind"] == target["kind"] and target.get("name") in {None, one["metadata"]["name"]}
    ]  # fmt: skip
    if not meant:
        raise ValueError(f"{folder}: nothing is a {target}")
    for resource in meant:
        if isinstance(body, list):
            for operation in body:
                operate(resource, copy.deepcopy(operation))
        elif resource["kind"] == "FlinkDeployment":
            content = {k: v for k, v in body.items() if k not in {"apiVersion", "kind", "metadata"}}
            merge(resource, copy.deepcopy(content))
        else:
            raise NotImplementedError(f"{folder}: a merge into a {resource['kind']} goes by keys")


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """JSON merge patch: what kustomize does to kinds it has no schema of."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def operate(resource: Resource, operation: dict[str, Any]) -> None:
    """One operation of a JSON patch."""
    *way, last = operation["path"].lstrip("/").split("/")
    node: Any = resource
    for part in way:
        node = node[int(part) if isinstance(node, list) else part]
    match operation["op"], node:
        case "add", list() if last == "-":
            node.append(operation["value"])
        case ("add", dict()) | ("replace", dict()):
            if operation["op"] == "replace" and last not in node:
                raise KeyError(operation["path"])
            node[last] = operation["value"]
        case "remove", dict():
            del node[last]
        case _:
            raise NotImplementedError(str(operation))
