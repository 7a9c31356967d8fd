"""Every finding code is found in a set that is spoiled in this way, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.validate.conftest import HEIGHT, WIDTH, Set
from tests.validate.spoiled_trees import fourth_bytes
from tests.validate.spoils import SPOILS, Spoil
from vatrack.common.counted import counted
from vatrack.common.image_headers import has_unnamed_alpha
from vatrack.validate.checks import CHECKS
from vatrack.validate.frames import Frame, check_chunk


@pytest.mark.parametrize(("spoil", "codes"), SPOILS)
def test_what_is_spoiled_is_found(
    mini_set: Set, tmp_path: Path, spoil: Spoil, codes: set[str]
) -> None:
    spoil(mini_set)
    text, report = mini_set.check(tmp_path / "report.json")
    found = {finding["code"]: finding for finding in report["findings"]}
    assert found.keys() == codes, text
    for code in codes:
        assert found[code]["count"] >= len(found[code]["examples"]) > 0
        assert code in text
    assert report["ok"] == all(CHECKS[code].severity != "error" for code in codes)


# Of own data.
OF_JOINT_SETS = {"video-frameless", "tracks-unknown", "frame-in-both"} | {
    "field-unknown",
    "mask-missing",
    "method-masks",
}
UNREADABLE = {"frame-unreadable", "folder-unreadable"}


def test_every_code_has_its_test() -> None:
    tested = {code for spoil in SPOILS for code in spoil.values[1]} | UNREADABLE | OF_JOINT_SETS
    assert tested == CHECKS.keys()


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc", "a\\b", "a\nb", "", "C:", "a__b", ".", 7, ["a"]]
)
def test_names_that_no_folder_may_have(mini_set: Set, tmp_path: Path, name: object) -> None:
    mini_set.train["videos"].append({"id": 9, "name": name})
    assert list(mini_set.found(tmp_path)) == ["video-name"]


def test_a_frame_with_a_name_too_long_for_a_file_is_missing(mini_set: Set, tmp_path: Path) -> None:
    image = mini_set.train["images"][3]
    image["file_name"] = image["file_name"].replace(".bmp", f"{'0' * 300}.bmp")
    assert "frame-missing" in mini_set.found(tmp_path)


def test_folders_that_may_not_be_read(
    mini_set: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the system's refusal is played."""
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path) in (mini_set.images, mini_set.raw / "mini_train_001"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    text, report = mini_set.check(tmp_path / "report.json")
    assert [(f["code"], f["count"]) for f in report["findings"]] == [("folder-unreadable", 2)]
    assert f"{mini_set.raw}: 1 of these videos, " in text
    assert report["looked_at"]["raw"]["videos"] == 1


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_frames_that_may_not_be_read(
    mini_set: Set,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    error: type[OSError],
) -> None:
    """Neither when their header is read, nor then their pixels."""
    opened, times = Path.open, [0]

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == mini_set.frame():
            times[0] += 1
            if times[0] > before:
                raise error(13, "refused")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    ((code, finding),) = mini_set.found(tmp_path).items()
    detail = "refused" if error is PermissionError else "cannot be read (refused)"
    example = {"item": "", "detail": detail}
    assert code == "frame-unreadable"
    assert finding["examples"] == [{"file": str(mini_set.frame()), **example}]


def test_no_two_codes_read_alike() -> None:
    meanings = [check.meaning for check in CHECKS.values()]
    assert sorted(meanings) == sorted(set(meanings))


def test_one_finding_is_told_in_the_singular() -> None:
    for check in CHECKS.values():
        assert "[" in check.fact or "cannot" in check.fact, "a verb that agrees with its number"
        for number in (1, 2):
            assert check.sentence(number).startswith(f"{counted(number, check.noun)} ")
            assert not set("[|]") & set(check.sentence(number))
        assert check.sentence(2) == f"2 {check.meaning}; {check.fix}"
    told = "1 frame in the annotations does not exist; unpack or copy it again"
    assert CHECKS["frame-missing"].sentence(1) == told
    assert CHECKS["mask-missing"].sentence(1).startswith("1 annotation lacks a mask that others ")


def test_one_object_is_told_in_the_singular(mini_set: Set, tmp_path: Path) -> None:
    kept = mini_set.annotation["obj_id"]
    annotations = mini_set.train["annotations"]
    mini_set.train["annotations"] = [a for a in annotations if a["obj_id"] == kept]
    mini_set.train["videos"][0]["num_objs"] = 3
    (example, *_) = mini_set.found(tmp_path)["num-objs"]["examples"]
    assert example["detail"] == "num_objs is 3, but it has 1 object"


def test_the_documents_list_every_code() -> None:
    text = (Path(__file__).parents[2] / "docs/findings.md").read_text()
    rows = [
        f"| `{code}` | {check.severity} | {check.meaning} | {check.fix} |".replace("<", "&lt;")
        for code, check in CHECKS.items()
    ]
    assert "\n".join(rows) in text


@pytest.mark.parametrize("value", [b"\0", b"\xff"])
def test_padding_of_pixels_is_no_alpha(tmp_path: Path, value: bytes) -> None:
    (tmp_path / "a.bmp").write_bytes(fourth_bytes(value))
    assert not has_unnamed_alpha(tmp_path / "a.bmp")


def test_a_frame_is_opened_for_its_header_and_for_its_pixels(
    mini_set: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = Path.open

    def watch(path: Path, *arguments: Any, **named: Any) -> Any:
        opened.append(path)
        return original(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", watch)
    frame = Frame(str(mini_set.frame()), (HEIGHT, WIDTH), listed=True)
    assert not check_chunk([frame], "decode").counts
    assert opened == [mini_set.frame()] * 2
