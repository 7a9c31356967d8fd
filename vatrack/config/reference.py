"""docs/config.md: every key of the config with its default and meaning, from the models
themselves."""

from __future__ import annotations

import json
from typing import Any

from vatrack.config import Config

HEAD = """# Every key of the config

Made by `make schema` from `vatrack/config/`; do not edit. A config file needs only the keys that
differ from the defaults. Defaults are the paper's; `spec` names a section of the method's
specification. An unknown key ends the run at once.

A file may start from another one: `extends: other.yaml`, relative to the file itself. It then holds
only what differs. Mappings are merged key by key; everything else, lists too, replaces the value of
the base. A mapping with `_replace_: true` in it replaces that of the base as a whole:

```yaml
extends: sailvos.yaml
launcher:
  extra: {_replace_: true, exclude: node7}   # no other option of sbatch that sailvos.yaml may have
```

Keys of older versions are read under their new names, with a warning: `training.image_scale` is now
`input.image_scale`; `device`, `precision`, `tf32`, `channels_last`, `compile` and `workers` are in
`compute` instead of `training`; `training.initial_checkpoint` and `training.backbone_weights` are
one key, `training.weights`.
"""


def config_reference() -> str:
    """Markdown: one table for each section."""
    schema = Config.model_json_schema()
    top: list[str] = []
    sections: list[str] = []
    _section(
        Config.model_json_schema(),
        schema["$defs"],
        Config().model_dump(mode="json"),
        "",
        top,
        sections,
    )
    return "\n".join([HEAD, "## Top level", "", *_table(top), *sections, ""])


def _section(
    model: dict[str, Any],
    models: dict[str, Any],
    defaults: dict[str, Any],
    path: str,
    rows: list[str],
    sections: list[str],
) -> None:
    """Adds the rows of a model's plain keys, and a section of its own for each model in it."""
    for name, field in model["properties"].items():
        key = f"{path}{name}"
        reference = field.get("$ref", "").rpartition("/")[2]
        if "properties" in models.get(reference, {}):
            inner: list[str] = []
            deeper: list[str] = []
            _section(models[reference], models, defaults[name], f"{key}.", inner, deeper)
            about = field.get("description") or models[reference].get("description", "")
            sections += ["", f"## {key}", "", about, "", *_table(inner), *deeper]
        else:
            meaning = field.get("description", "").replace("<", "\\<").replace("|", "\\|")
            rows.append(
                f"| `{key}` | {_values(field, models)} | `{json.dumps(defaults[name])}` | "
                f"{meaning} |"
            )
            for choice in (*field.get("anyOf", []), field.get("items", {})):
                item = models.get(choice.get("$ref", "").rpartition("/")[2], {})
                if "properties" in item:
                    # Such an entry has no place among the defaults: there is none until somebody
                    # writes it.
                    own = {
                        inner: value.get("default") for inner, value in item["properties"].items()
                    }
                    _section(
                        item,
                        models,
                        own,
                        f"{key}{'[]' if field.get('type') == 'array' else ''}.",
                        rows,
                        sections,
                    )


def _table(rows: list[str]) -> list[str]:
    return ["| key | value | default | meaning |", "|---|---|---|---|", *rows]


def _values(field: dict[str, Any], models: dict[str, Any]) -> str:
    """What may be given, in words."""
    if "$ref" in field:
        field = models[field["$ref"].rpartition("/")[2]]
    if "anyOf" in field:
        return " or ".join(_values(choice, models) for choice in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        items = _values(field.get("items") or field["prefixItems"][0], models)
        fixed = field.get("minItems") == field.get("maxItems")
        return (
            f"{field['minItems']} × {items}"
            if fixed and "minItems" in field
            else f"list of {items}"
        )
    if "properties" in field:
        return f"mapping with {', '.join(f'`{name}`' for name in field['properties'])}"
    if field.get("type") == "object":
        keys = _values(field.get("propertyNames", {"type": "string"}), models)
        return f"mapping from {keys} to {_values(field['additionalProperties'], models)}"
    words = {"null": "`null`", "boolean": "`true`, `false`"}
    word = "path" if field.get("format") == "path" else words.get(field["type"], field["type"])
    if "minimum" in field and "maximum" in field:
        return f"{word} from {field['minimum']:g} to {field['maximum']:g}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[limit]:g}" for limit, sign in signs.items() if limit in field]
    return " ".join([word, *limits])
