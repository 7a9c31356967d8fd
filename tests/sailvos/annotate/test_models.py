"""What files of models may hold: bad ones, missing ones, and official JSON of which only the head
is read.

That every good form gives the same annotations is tested in test_annotate.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Mini
from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.config.categories import CATEGORIES
from vatrack.sailvos.annotate.models import read_models
from vatrack.synthetic.render import model_name

LISTS = ("categories", "models", "videos", "images", "annotations")

BAD_MODELS: dict[str, tuple[str, str, str]] = {
    "class": (
        "m.json",
        '{"Car_B": "boat"}',
        "model Car_B: 'boat' is not a category; use one of person, car,",
    ),
    "number": ("m.json", '{"Car_B": 3}', "model Car_B: 3 is not a category"),
    "id": ("m.json", '{"Car_B": {"category": "car", "id": "x"}}', "model Car_B: its id is 'x'"),
    "negative": (
        "m.csv",
        "name,category,id\nCar_B,car,-1\n",
        "model Car_B: its id is '-1'; must be an integer from 0, or left out",
    ),
    "bool": ("m.json", '[{"name": "a", "category": "car", "id": true}]', "model a: its id is True"),
    "same id": ("m.csv", "name,category,id\na,car,1\nb,car,1\n", "the id 1 is that of a and of b"),
    "two": ("m.csv", "name,category\na,car\na,dog\n", "model a is listed with two categories"),
    "text": ("m.json", '"person"', "is not a list of models"),
    "entry": ("m.json", '[{"name": "a"}]', "{'name': 'a'} needs a name and a category"),
    "columns": (
        "m.csv",
        "model;category\na;car\n",
        "its first line lacks columns; must contain name, category",
    ),
    "short": (
        "m.csv",
        "name,category\na\n",
        "line 2: does not match the columns of the first line",
    ),
    "long": (
        "m.csv",
        "name,category\na,car,2,3\n",
        "line 2: does not match the columns of the first line",
    ),
    "bytes": ("m.csv", "name,category\n\udcff,car\n", "cannot be read, not UTF-8"),
    "cut": ("m.json", '{"Car_B": "car"', "not valid JSON"),
    "categories": (
        "m.json",
        '{"categories": [{"id": 1, "name": "person"}], "models": [{"id": 1}]}',
        "its categories (1) differ from the method's 24",
    ),
    "no models": ("m.json", "OFFICIAL-NONE", "its list of models is empty"),
    "no name": (
        "m.json",
        "OFFICIAL-UNNAMED",
        "models, id 3: is not complete; give it a name, and an integer as id",
    ),
}


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_bad_models(tmp_path: Path, fault: str) -> None:
    name, content, message = BAD_MODELS[fault]
    categories = [{"id": number, "name": category} for number, category in enumerate(CATEGORIES)]
    if content == "OFFICIAL-NONE":
        content = json.dumps(
            {"models": [], "categories": categories, "videos": [], "images": [], "annotations": []}
        )
    if content == "OFFICIAL-UNNAMED":
        content = json.dumps(
            {"models": [{"id": 3, "category_id": 1}], "categories": categories, "annotations": []}
        )
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_models(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("name", ["none.json", "none.csv"])
def test_missing_models(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_models(tmp_path / name)


def test_models_of_a_large_official_json_are_read_from_its_head(mini: Mini, tmp_path: Path) -> None:
    """What follows the two lists is not read: here it is damaged. Lists at the end are found
    too."""
    official = read_json(mini.official("train"))
    head = json.dumps({key: official[key] for key in ("categories", "models", "videos")})
    (tmp_path / "damaged.json").write_text(head[:-1] + ', "images": [{"id": ')
    write_json(
        tmp_path / "late.json",
        {"info": {"models": []}, **{key: official[key] for key in reversed(LISTS)}},
    )
    first, late = read_models(tmp_path / "damaged.json"), read_models(tmp_path / "late.json")
    assert first == late
    assert first.models == official["models"]
    assert model_name(0, 0) in first.known
