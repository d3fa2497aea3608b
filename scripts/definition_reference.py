"""Writes docs/definition-reference.md: each section and field of the definition language, from its JSON Schema.

python scripts/definition_reference.py > docs/definition-reference.md
"""

import re
from collections.abc import Iterator
from typing import Any

from iotsense.twin.schema import json_schema

HEADER = """\
# Reference of the definition language

Written by `scripts/definition_reference.py` from the models themselves; a test compares. What it all means is told in
[definitions.md](definitions.md). **Bold** fields are required. A number, a boolean or a part of a text may come from
the environment (`${VARIABLE}`), everywhere.
"""
WORDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "mapping",
}


VARIABLE = r"\$\{.+\}"


class Reference:
    """The page, section by section; a model is described where it is first needed."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._models: dict[str, Any] = schema["$defs"]
        self._sections: dict[str, Any] = schema["properties"]
        self._told: set[str] = set()

    def lines(self) -> Iterator[str]:
        """The lines of the page."""
        yield HEADER
        for section, each in self._sections.items():
            yield f"## {section}\n"
            models = [name for choice in each["anyOf"] for name in _models_in(choice)]
            text = each.get("description") or self._model(models[0]).get("description", "")
            form = " or ".join(self._kind(choice) for choice in each["anyOf"][:-1])
            yield f"{text} Value: {form}.\n"
            yield from self._tables(models)

    def _model(self, name: str) -> dict[str, Any]:
        model: dict[str, Any] = self._models[name]
        # `a text alone is its name`: the model is one of the choices.
        return next((choice for choice in model.get("anyOf", ()) if "properties" in choice), model)

    def _tables(self, names: list[str]) -> Iterator[str]:
        waiting = list(dict.fromkeys(names))
        while waiting:
            name = waiting.pop(0)
            model = self._model(name)
            if name in self._told or "properties" not in model:
                continue
            self._told.add(name)
            yield f"### {name}\n\n{model.get('description', '')}\n"
            yield "| field | value | meaning |\n|---|---|---|"
            inner: list[str] = []
            for field, schema in model["properties"].items():
                mark = "**" if field in model.get("required", ()) else ""
                yield f"| {mark}`{field}`{mark} | {self._value(schema)} | {self._meaning(schema)} |"
                inner += _models_in(schema)
            yield ""
            waiting = [*dict.fromkeys(inner), *waiting]

    def _meaning(self, schema: dict[str, Any]) -> str:
        described = [schema, *(self._models[name] for name in _models_in(schema))]
        text = next((each["description"] for each in described if each.get("description")), "")
        return text.replace("|", "\\|").replace("\n", " ")

    def _value(self, schema: dict[str, Any]) -> str:
        text = self._kind(schema)
        default = schema.get("default")
        if default is None or isinstance(default, (dict, list)):
            return text
        plain = str(default).lower() if isinstance(default, bool) else f"{default:g}" if _number(default) else default
        return f"{text}; default {plain}"

    def _kind(self, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return self._link(schema["$ref"])
        for key in ("allOf", "oneOf", "anyOf"):
            if key in schema:
                kinds = [self._kind(each) for each in schema[key] if each.get("pattern") != VARIABLE]
                return " or ".join(dict.fromkeys(kinds))
        if "const" in schema:
            return f"`{schema['const']}`"
        if "enum" in schema:
            return ", ".join(dict.fromkeys(f"`{word}`" for word in schema["enum"]))
        if schema.get("type") == "array":
            return f"list of {self._kind(schema['items'])}"
        if schema.get("type") == "object":
            values = schema.get("additionalProperties")
            return f"mapping of {self._kind(values)}" if isinstance(values, dict) else "mapping"
        return self._scalar(schema)

    def _scalar(self, schema: dict[str, Any]) -> str:
        kinds = schema.get("type", "anything")
        text = " or ".join(WORDS[kind] for kind in kinds) if isinstance(kinds, list) else WORDS.get(kinds, kinds)
        if "100ms" in schema.get("examples", ()):
            return "duration"
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        limits = [
            f"{sign} {limit:g}"
            for sign, limit in (("≥", low), (">", above), ("≤", high), ("<", below))
            if _number(limit)
        ]
        return " ".join([text, *limits])

    def _link(self, reference: str) -> str:
        name = reference.rpartition("/")[2]
        if name == "JsonValue":
            return "anything"
        model = self._models[name]
        if "properties" not in self._model(name):
            return self._kind(model)
        others = [choice for choice in model.get("anyOf", ()) if "properties" not in choice]
        alone = [self._kind(choice) for choice in others if choice.get("pattern") != VARIABLE]
        return " or ".join([*alone, f"[{name}](#{name.lower()})"])


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _models_in(schema: Any) -> list[str]:
    return re.findall(r"'\$ref': '#/\$defs/(\w+)'", str(schema))


def page() -> str:
    """The page as it should be."""
    return "\n".join(Reference(json_schema()).lines()).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
