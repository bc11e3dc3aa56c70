"""Strict validation: a field that a schema does not name is an error, as it is for the API server
with `kubectl apply --validate=strict`."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = ("1.29", "1.37")
"""Oldest and newest release that the manifests are written for."""


def closed(schema: Any) -> Any:
    """The schema with every object that lists its fields closed to others."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: closed(value) for key, value in schema.items()}
    free = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & schema.keys()
    if isinstance(schema.get("properties"), dict) and not free:
        strict["additionalProperties"] = False
    return strict


def own(kind: str) -> dict[str, Any]:
    """The schema of a kind's spec that lies beside this file."""
    return closed(yaml.safe_load((SCHEMAS / f"{kind.lower()}.yaml").read_text("utf-8")))


def errors(value: Any, schema: dict[str, Any]) -> list[str]:
    """What does not fit, with the place."""
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(value)]


def core_errors(resource: dict[str, Any]) -> list[str]:
    """What does not fit Kubernetes' own schema of a kind, over the supported releases."""
    found = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version} {error.json_path}: {error.message}")
    return found
