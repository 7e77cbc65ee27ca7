from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from gapura.config.schema import Document, json_schema

HERE = Path(__file__).parent
EXAMPLES = [*sorted((HERE / "plans").glob("*.toml")), *sorted(HERE.parents[1].glob("examples/*/gapura.toml"))]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def test_the_schema_is_one(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_schema_is_always_the_same(schema: dict[str, Any]) -> None:
    assert json.dumps(schema) == json.dumps(json_schema())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_examples_are_valid(schema: dict[str, Any], file: Path) -> None:
    jsonschema.validate(tomllib.loads(file.read_text(encoding="utf-8")), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "data",
    [
        {"app": {}},
        {"edge": {"http": -1}},
        {"edge": {"timeouts": {"head": "soon"}}},
        {"apps": {"a": {}}},
        {"apps": {"a": {"command": "x", "cwd": "y"}}},
        {"upstreams": {"a": {"servers": [], "policy": "round_robin"}}},
        {"upstreams": {"a": {"servers": ["b:1"], "policy": "rr"}}},
        {"sites": {"a": {"redirect": {"status": 301}}}},
        {"sites": {"a": {"body_limit": "lots"}}},
    ],
)
def test_editors_see_mistakes(schema: dict[str, Any], data: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema, cls=jsonschema.Draft202012Validator)


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    tables = [schema, *schema["$defs"].values()]
    values = [(key, value) for table in tables for key, value in table["properties"].items()]
    assert [key for key, value in values if not value.get("description") and "$ref" not in value] == []
    assert [table["title"] for table in tables if not table.get("description")] == []


def test_no_null_is_offered(schema: dict[str, Any]) -> None:
    """TOML has no null."""
    assert '"null"' not in json.dumps(schema)
    assert ": null" not in json.dumps(schema)


def test_the_model_of_nothing_has_all_defaults() -> None:
    assert Document.model_validate({}).edge.limits.body == 1 << 20
