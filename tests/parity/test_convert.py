"""The four annotation forms, against what the published code writes."""

from __future__ import annotations

import pytest

from tests.golden import Case, cases
from vatrack.data.annotations import renumber_categories, to_form
from vatrack.files import read_json

# Names of the golden cases to ours.
FORMS = {"amodal": "amodal", "visible": "visible", "joint_amodal_box": "joint", "joint_both_boxes": "joint-2bbox"}


@pytest.mark.parametrize("case", cases("convert"))
def test_forms(case: Case) -> None:
    source = case.folder / "input.json.gz"
    data = read_json(source)
    before = read_json(source)
    clips = renumber_categories(data, source)
    limit = float(case.parameters["keep"].split("<=")[1])
    for name, file in case.info["expected"].items():
        assert to_form(clips, FORMS[name], limit, ".png") == case.json(file)
    assert data == before
