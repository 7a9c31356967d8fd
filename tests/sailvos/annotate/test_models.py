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
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config.categories import CATEGORIES
from vatrack.sailvos.annotate.models import read_models, resolve_models
from vatrack.synthetic.render import model_name

LISTS = ("categories", "models", "videos", "images", "annotations")

CSV = "name,category,id\n"
# The method's own categories, so that only the models are at fault.
OFFICIAL = {
    "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)],
    "annotations": [],
}
OTHER_FORM = "has no lists of categories and models; it must be CSV with the columns name, category"

BAD_MODELS: dict[str, tuple[str, str]] = {
    "class": (
        f"{CSV}Car_B,boat,\n",
        "model Car_B: 'boat' is not a category; use one of person, car,",
    ),
    "id": (f"{CSV}Car_B,car,x\n", "model Car_B: its id is 'x'"),
    "negative": (
        f"{CSV}Car_B,car,-1\n",
        "model Car_B: its id is '-1'; must be an integer from 0, or left out",
    ),
    "same id": (f"{CSV}a,car,1\nb,car,1\n", "the id 1 is that of a and of b"),
    "two": ("name,category\na,car\na,dog\n", "model a is listed with two categories"),
    "columns": (
        "model;category\na;car\n",
        "its first line lacks columns; must contain name, category",
    ),
    "short": ("name,category\na\n", "line 2: does not match the columns of the first line"),
    "long": ("name,category\na,car,2,3\n", "line 2: does not match the columns of the first line"),
    "bytes": ("name,category\n\udcff,car\n", "cannot be read, not UTF-8"),
    "text": ('"person"', OTHER_FORM),
    "list": ('[{"name": "a", "category": "car"}]', OTHER_FORM),
    "names": ('{"Car_B": "car"}', OTHER_FORM),
    "objects": ('{"Car_B": {"category": "car", "id": 3}}', OTHER_FORM),
    "no models": (json.dumps({**OFFICIAL, "models": []}), OTHER_FORM),
    "cut": ('{"Car_B": "car"', "not valid JSON"),
    "categories": (
        '{"categories": [{"id": 1, "name": "person"}], "models": [{"id": 1}]}',
        "its categories (1) differ from the method's 24",
    ),
    "no name": (
        json.dumps({**OFFICIAL, "models": [{"id": 3, "category_id": 1}]}),
        "models, id 3: is not complete; give it a name, and an integer as id",
    ),
    "same official id": (
        json.dumps({**OFFICIAL, "models": [{"id": 3, "name": name} for name in "ab"]}),
        "the id 3 is that of a and of b; give each model its own",
    ),
}


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_bad_models(tmp_path: Path, fault: str) -> None:
    content, message = BAD_MODELS[fault]
    path = tmp_path / ("m.json" if content[0] in '"[{' else "m.csv")
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


def test_names_that_differ_only_by_case_are_one_model(tmp_path: Path) -> None:
    """The raw data mixes the case; no id may be listed twice."""
    (tmp_path / "m.csv").write_text(f"{CSV}prop_chair,chair,5\n")
    table = resolve_models(["Prop_Chair", "prop_chair", "x"], read_models(tmp_path / "m.csv"))
    chair = CATEGORIES.index("chair") + 1
    assert table.known == {"Prop_Chair": (5, chair), "prop_chair": (5, chair)}
    assert table.models == [{"id": 5, "name": "Prop_Chair", "category_id": chair}]
