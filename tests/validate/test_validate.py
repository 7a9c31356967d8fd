"""The validation as a whole: clean sets, the report, and that nothing stops it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parity.golden import Case, cases
from tests.validate.conftest import VIDEO, Set
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.dataset import ValidationConfig
from vatrack.sailvos.index import build_index
from vatrack.sailvos.official import read_official
from vatrack.validate import frames, validate
from vatrack.validate.findings import KEPT_EXAMPLES


@pytest.mark.parametrize("mode", ["decode", "header", "exist"])
@pytest.mark.parametrize("masks", [True, False])
def test_a_rendered_set_is_clean(mini_set: Set, tmp_path: Path, mode: str, masks: bool) -> None:
    text, report = mini_set.check(tmp_path / "report.json", frames=mode, masks=masks)
    assert text.startswith(f"0 errors, 0 warnings, 0 notes in {mini_set.raw}")
    compared = "areas, boxes and occlusion rates" if masks else "nothing"
    assert f"  masks: sizes and codes checked; {compared} compared with them" in text
    seconds = report["looked_at"].pop("seconds")
    assert seconds >= 0
    files = [
        {
            "subset": subset,
            "path": str(path),
            "bytes": path.stat().st_size,
            "read_to_the_end": True,
            "videos": count,
            "frames": 7 * count,
            "annotations": len(getattr(mini_set, subset)["annotations"]),
        }
        for (subset, path), count in zip(mini_set.paths().items(), (2, 1), strict=True)
    ]
    raw = {"path": str(mini_set.raw), "videos": 3, "frames": 48, "frames_checked": mode}
    assert report == {
        "ok": True,
        "counts": {"error": 0, "warning": 0, "note": 0},
        "looked_at": {"raw": raw, "files": files, "masks_compared": masks},
        "findings": [],
    }
    build_index(mini_set.raw, mini_set.paths(), tmp_path / "index.json")


@pytest.mark.parametrize("case", cases("convert"))
def test_real_annotations_are_clean(case: Case, tmp_path: Path) -> None:
    """They are of a clip, so the mark in the video's name is the one thing that no official file
    has."""
    source = case.path("input.json.gz")
    assert found_in({"train": source}, tmp_path).keys() == {
        "video-name",
        "raw-broken",
        "model-unknown",
    }
    data = read_json(source)
    for item, key in [
        *((video, "name") for video in data["videos"]),
        *((image, "file_name") for image in data["images"]),
    ]:
        item[key] = item[key].replace("__", "_")
    write_json(tmp_path / "renamed.json.gz", data)
    found = found_in({"train": tmp_path / "renamed.json.gz"}, tmp_path)
    assert found.keys() == {"raw-broken", "model-unknown"}
    assert found["model-unknown"]["count"] == len(data["annotations"])


def found_in(official: dict[str, Path], folder: Path, **chosen: Any) -> dict[str, dict[str, Any]]:
    """Findings by code; there is no raw tree."""
    raw, out = folder / "raw", folder / "report.json"
    raw.mkdir(exist_ok=True)
    with pytest.raises(InputError):
        validate(raw, official, ValidationConfig(**chosen), out)
    return {finding["code"]: finding for finding in read_json(out)["findings"]}


def spoil_much(s: Set) -> None:
    """Something everywhere: broken things do not hide others."""
    for number, annotation in enumerate(s.train["annotations"]):
        annotation["occlude_rate"] += 0.001 * number
    s.annotation["bbox"] = None
    s.train["annotations"][1].update(image_id=10**6, iscrowd=1)
    del s.train["annotations"][2]["area"]
    s.train["images"][3]["file_name"] = "x"
    s.valid["videos"].append(s.train["videos"][1])
    for number in range(4, 8):
        s.frame(number).write_bytes(b"BM")
    s.frame(8).unlink()
    s.frame(12).write_bytes(b"")
    (s.raw / "other").mkdir()


EXPECTED = {
    "field-missing": 1,
    "box-bad": 1,
    "rate-wrong": 34,
    "image-unknown": 1,
    "image-place": 1,
    "crowd": 1,
    "video-in-both": 1,
    "video-empty": 1,
    "frame-cut-off": 3,
    "frame-missing": 1,
    "file-broken": 2,
    "folder-plain": 1,
    "frame-id-gap": 1,
    "num-frames": 1,
}


def test_everything_is_found_in_one_run(mini_set: Set, tmp_path: Path) -> None:
    spoil_much(mini_set)
    text, report = mini_set.check(tmp_path / "report.json")
    counts = {finding["code"]: finding["count"] for finding in report["findings"]}
    assert counts == EXPECTED
    assert report["counts"]["error"] == sum(
        f["count"] for f in report["findings"] if f["severity"] == "error"
    )
    severities = [finding["severity"] for finding in report["findings"]]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    lines = text.splitlines()
    assert lines[0].startswith(
        f"{report['counts']['error']} errors, 3 warnings, 3 notes in {mini_set.raw} "
    )
    heads = [line for line in lines if line.startswith(("error", "warning", "note"))]
    assert [line.split()[1] for line in heads] == [
        finding["code"] for finding in report["findings"]
    ]
    shown = lines.index(next(line for line in heads if "rate-wrong" in line))
    assert [line[:9] for line in lines[shown + 1 : shown + 7]] == [" " * 9] * 6
    assert lines[shown + 6].strip() == "... and 29 more"
    assert lines[-1] == f"all examples: {tmp_path / 'report.json'}"


@pytest.mark.slow
def test_the_findings_do_not_depend_on_the_processes(
    mini_set: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_much(mini_set)
    monkeypatch.setattr("vatrack.validate.annotations.BATCH", 5000)
    monkeypatch.setattr(frames, "CHUNK", 5)
    reports = [mini_set.check(tmp_path / f"{processes}.json", processes)[1] for processes in (1, 3)]
    for report in reports:
        del report["looked_at"]["seconds"]
    assert reports[0] == reports[1]


def test_examples_are_limited(mini_set: Set, tmp_path: Path) -> None:
    first = mini_set.annotation
    for number in range(3 * KEPT_EXAMPLES):
        changed = {
            "id": 10_000 + number,
            "obj_id": 50 + number,
            "instance_id": 50 + number,
            "area": 0,
            "model_id": 10**6,
        }
        mini_set.train["annotations"].append(first | changed)
    found = mini_set.found(tmp_path)
    for code in ("area-wrong", "model-unknown"):
        assert found[code]["count"] == 3 * KEPT_EXAMPLES
        examples = found[code]["examples"]
        assert [example["item"] for example in examples] == [
            f"annotation {10_000 + n}" for n in range(KEPT_EXAMPLES)
        ]


def test_a_cut_file_is_checked_as_far_as_it_goes(mini_set: Set, tmp_path: Path) -> None:
    mini_set.annotation["area"] += 1
    mini_set.save()
    path = mini_set.paths()["train"]
    mini_set.texts["train"] = path.read_bytes()[: path.stat().st_size // 2]
    text, report = mini_set.check(tmp_path / "report.json")
    assert [finding["code"] for finding in report["findings"]] == ["json-broken", "area-wrong"]
    assert report["looked_at"]["files"][0]["read_to_the_end"] is False
    assert 0 < report["looked_at"]["files"][0]["annotations"] < len(mini_set.train["annotations"])
    assert "not read to the end" in text


@pytest.mark.parametrize("mode", ["header", "exist"])
def test_less_is_looked_at_on_demand(mini_set: Set, tmp_path: Path, mode: str) -> None:
    data = bytearray(mini_set.frame(4).read_bytes())
    data[28] = 7
    mini_set.frame(4).write_bytes(data)
    mini_set.frame(5).write_bytes(mini_set.frame(5).read_bytes()[:-1])
    mini_set.frame(6).unlink()
    codes = {
        "header": ["frame-missing", "frame-cut-off", "frame-undecodable"],
        "exist": ["frame-missing"],
    }
    assert list(mini_set.found(tmp_path, frames=mode)) == codes[mode]


JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    1e30,
    "",
    "..",
    "x",
    "a/b",
    [],
    [1],
    {},
    {"size": [1, 1], "counts": "1"},
    [[]],
]
SECTIONS = ["categories", "models", "videos", "images", "annotations"]


@pytest.mark.slow
@settings(max_examples=150)
@given(data=st.data())
def test_junk_is_never_too_much(rendered: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in the fields: the report is written, and what passes without an error can be
    read and indexed."""
    spoiled = copy.deepcopy(read_json(rendered / "train.json"))
    for _ in range(data.draw(st.integers(1, 3))):
        section = data.draw(st.sampled_from(SECTIONS))
        item = data.draw(st.sampled_from(spoiled[section][:6]))
        field = data.draw(st.sampled_from(sorted(item)))
        item[field] = data.draw(st.sampled_from(JUNK))
    official = {"train": tmp_path / "train.json", "valid": rendered / "valid.json"}
    write_json(official["train"], spoiled)
    try:
        validate(rendered, official, ValidationConfig(frames="exist"), tmp_path / "report.json")
    except InputError:
        assert not read_json(tmp_path / "report.json")["ok"]
    else:
        assert read_json(tmp_path / "report.json")["ok"]
        read_official(official["train"])
        build_index(rendered, official, tmp_path / "index.json")


def test_video_names_are_compared_by_case_across_files(mini_set: Set, tmp_path: Path) -> None:
    mini_set.valid["videos"].append({"id": 5, "name": VIDEO.upper()})
    found = mini_set.found(tmp_path)
    assert found.keys() == {"video-name-case", "video-empty", "folder-case"}
    assert found["video-name-case"]["examples"][0]["detail"] == f"and {VIDEO}"


def with_classes(mini_set: Set, *, reverse: bool = False) -> tuple[str, ...]:
    """The set with classes of its own; in the valid file perhaps in another order."""
    for content in (mini_set.train, mini_set.valid):
        for number, item in enumerate(content["categories"]):
            item["name"] = f"class {number}"
    if reverse:
        mini_set.valid["categories"].reverse()
    return tuple(item["name"] for item in mini_set.train["categories"])


def test_classes_of_the_data_or_of_a_list_are_clean(mini_set: Set, tmp_path: Path) -> None:
    names = with_classes(mini_set, reverse=True)
    assert mini_set.found(tmp_path, classes=None) == {}
    more = ClassList((*names[::-1], "one more"))
    assert mini_set.found(tmp_path, classes=more) == {}
    assert mini_set.found(tmp_path, classes=SAILVOS).keys() == {"category-list"}


def test_bad_lists_of_classes_are_found(mini_set: Set, tmp_path: Path) -> None:
    def told(classes: ClassList | None = None) -> str:
        return str(mini_set.found(tmp_path, classes=classes)["category-list"])

    names = with_classes(mini_set)
    assert "'class 0'" in told(ClassList(names[1:]))
    mini_set.valid["categories"][3]["name"] = "unknown"
    found = told()
    assert "'unknown'" in found, "not in the training file"
    assert str(mini_set.paths()["valid"]) in found
    mini_set.train["categories"][3]["name"] = "class 5"
    assert "'class 5' is listed twice" in told()
    mini_set.train["categories"][3]["name"] = " "
    assert "class 4 has an empty name" in told()
