"""pydantic's complaints about a value in plain words, with the value and what to give instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.similar import not_a_choice

_LONGEST = 60  # characters of a value
# Regular expressions of values; messages say them in words.
ADDRESS = r"^(https?|file)://"
FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
CHECKSUM = r"^[0-9a-f]{64}$"
_PATTERNS = {
    ADDRESS: "must begin with https://, http:// or file://",
    FOLDER_NAME: "cannot be the name of a folder; use ASCII letters and digits, '.', '-' and '_', "
    "with a letter or digit first",
    CHECKSUM: "is not a SHA-256; give its 64 digits (0-9, a-f)",
}


def in_plain_words(error: Mapping[str, Any], length: int = 1) -> str:
    """What is wrong with a value, and what to give.

    Args:
        error: one of pydantic's `ValidationError.errors()`.
        length: items of the list that is needed, where it has a fixed number.

    Returns:
        pydantic's own message where its type is not known here.

    Example: `"'many' is not a whole number; give one, such as 3"` for the type `int_parsing`.
    """
    value, context = error["input"], error.get("ctx", {})
    shown = "null (~ or nothing)" if value is None else f"{value!r:.{_LONGEST}}"
    if (forms := _FORMS.get(error["type"])) is not None:
        return f"{shown} is {forms}"
    if (limit := _LIMITS.get(error["type"])) is not None:
        return f"{shown} must be {limit(context)}"
    if error["type"] in ("tuple_type", "list_type"):
        single = isinstance(value, str | int | float)
        inside = f"; write [{', '.join([str(value)] * length)}]" if single else ""
        return f"{shown} is not a list{inside or '; give one, such as [1, 2]'}"
    if error["type"] == "too_short":
        has = counted(context["actual_length"], "item")
        return f"has {has}; give at least {context['min_length']}"
    if error["type"] == "too_long":
        length = context["actual_length"]  # None: of what is not counted
        has = counted(length, "item") if length else "too many items"
        return f"has {has}; give at most {context['max_length']}"
    if error["type"] in ("enum", "literal_error"):
        return f"{shown} is not allowed; give {not_a_choice(context['expected'], value)}"
    if error["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"{shown} {_PATTERNS.get(pattern, f'is not of the form {pattern}; correct it')}"
    if error["type"] == "missing":
        return "is missing; add it"
    return str(error["msg"])


_WHOLE = "not a whole number; give one, such as 3"
_NUMBER = "not a number; give one, such as 0.5"
_TEXT = "not text; put it in quotes"
_SWITCH = "neither true nor false; give one of them"
_MAPPING = "not a mapping of keys; give keys with values below it, indented, as in `  epochs: 6`"
_FORMS = {
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": "not a finite number; give one",
    "string_type": _TEXT,
    "path_type": "not a path; give one, in quotes",
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "invalid_key": "a key that is not text; put it in quotes",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}
_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"greater than {context['gt']}",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than": lambda context: f"less than {context['lt']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
}
