"""Own annotations are completed from their masks, and refused with a clear message."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import Mini
from tests.own_data.own import rectangle, write_own
from vatrack.common.errors import InputError, InvalidData
from vatrack.common.value_files import read_json
from vatrack.config import Config, parse_config
from vatrack.config.dataset import DatasetConfig, ValidationConfig
from vatrack.config.methods import Method
from vatrack.data.forms import FORMS
from vatrack.data.frames import AnnotationFile
from vatrack.data.joint.annotations import COMPUTED
from vatrack.data.joint.prepare import prepare_joint
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.convert import convert_files
from vatrack.validate import validate_joint
from vatrack.validate.findings import Findings
from vatrack.validate.joint import check_joint

Json = dict[str, Any]
DATA = DatasetConfig(classes="data")


SECOND = {"id": 200, "video_id": 2}  # the first image of the second video


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_own(tmp_path / "own")


def _prepare(own: Path, out: Path, *methods: Method) -> Any:
    return prepare_joint(own / "train.json", own / "frames", DATA, out, methods)


def _change(own: Path, change: Callable[[Json], object]) -> None:
    document = read_json(own / "train.json")
    change(document)
    (own / "train.json").write_text(json.dumps(document))


def test_stripped_sailvos_gives_the_same_forms(mini: Mini, tmp_path: Path) -> None:
    dataset = DatasetConfig(max_occlusion=1)
    converted, images = tmp_path / "converted", tmp_path / "clips"
    build_clip_tree(mini.raw, mini.structure, images, "symlink", 1)
    convert_files(mini.official("valid"), mini.structure, dataset, converted)
    document = read_json(converted / "joint.json")
    for item in document["annotations"]:
        for key in COMPUTED - {"amodal_mask", "visible_mask"}:
            item.pop(key, None)
    (tmp_path / "joint.json").write_text(json.dumps(document))
    prepare_joint(tmp_path / "joint.json", images, dataset, tmp_path / "out")
    for name in (*FORMS, "video_amodal", "video_visible"):
        made = read_json(tmp_path / "out" / f"{name}.json")
        wanted = read_json(converted / f"{name}.json")
        assert made.keys() >= wanted.keys() - {"models"}
        for section in ("categories", "videos", "images"):
            assert made.get(section) == wanted.get(section)
        assert len(made["annotations"]) == len(wanted["annotations"]) > 0
        for mine, theirs in zip(made["annotations"], wanted["annotations"], strict=True):
            theirs.pop("invisible_mask", None)
            assert mine.pop("occlude_rate") == pytest.approx(theirs.pop("occlude_rate"))
            assert mine == theirs


def test_minimal_file(own: Path, tmp_path: Path) -> None:
    result = _prepare(own, tmp_path / "out")
    assert (result.videos, result.frames, result.kept, result.tracks) == (3, 12, 24, 6)
    read = AnnotationFile(tmp_path / "out" / "joint.json")
    assert {tuple(size) for size in read.sizes.tolist()} == {(128, 96), (100, 80), (96, 64)}
    objects = read.objects(3)
    assert objects.labels.tolist() == [0, 1]
    assert objects.boxes["amodal"][1].tolist() == [20, 20, 50, 50]
    item = read_json(tmp_path / "out" / "joint.json")["annotations"][7]
    assert (item["area_amodal"], item["area_visible"]) == (900, 600)
    assert item["occlude_rate"] == pytest.approx(1 / 3)


def test_rates_may_be_rounded_to_two_decimals(own: Path, tmp_path: Path) -> None:
    path = own / "train.json"
    document = read_json(path)
    document["annotations"][7]["occlude_rate"] = 0.33
    path.write_text(json.dumps(document))
    _prepare(own, tmp_path / "out")
    item = read_json(tmp_path / "out" / "joint.json")["annotations"][7]
    assert item["occlude_rate"] == pytest.approx(0.33)


@pytest.mark.parametrize(
    ("mask", "method", "other"),
    [
        ("visible", Method.QDTRACK, Method.VATRACK),
        ("amodal", Method.AMODALTRACK, Method.QDTRACK),
    ],
)
def test_one_mask_type(tmp_path: Path, mask: str, method: Method, other: Method) -> None:
    own = write_own(tmp_path / "own", masks=(mask,))
    result = _prepare(own, tmp_path / "out", method)
    assert f"only {mask} masks: only {method.value} can be trained" in str(result)
    names = {path.name for path in (tmp_path / "out").glob("*.json")}
    assert names == {"joint.json", f"{method.form}.json", f"video_{mask}.json"}
    item = read_json(tmp_path / "out" / f"{method.form}.json")["annotations"][0]
    assert "occlude_rate" not in item
    told = rf"only {mask} masks.*set methods: \[{method.value}\]"
    with pytest.raises(InputError, match=told):
        _prepare(own, tmp_path / "other", other)
    given = (own / "frames", {"train": own / "train.json"}, ValidationConfig())
    with pytest.raises(InvalidData, match=f"method-masks(.*\n)*.*{told}"):
        validate_joint(*given, methods=[method, other])
    (file,) = validate_joint(*given, methods=[method]).looked_at["files"]
    assert (file["mask_types"], file["methods"]) == ((mask,), [method.value])
    assert not (tmp_path / "other").exists()


def test_images_without_videos(own: Path, tmp_path: Path) -> None:
    def change(document: Json) -> None:
        del document["videos"]
        for item in (*document["images"], *document["annotations"]):
            for key in ("video_id", "frame_id", "instance_id"):
                item.pop(key, None)

    _change(own, change)
    result = _prepare(own, tmp_path / "out")
    assert (result.videos, result.frames, result.tracks) == (12, 12, 24)
    assert "a frame with itself" in str(result)


def _set(section: str, key: str, value: Any) -> Callable[[Json], object]:
    return lambda document: document[section][0].update({key: value})


def _rename(section: str, *names: tuple[str, str]) -> Callable[[Json], object]:
    def rename(document: Json) -> None:
        for item in document[section]:
            item.update({new: item.pop(old) for old, new in names})

    return rename


BAD = [
    (_set("annotations", "category_id", 99), "category 99 is not in the list", "category-unknown"),
    (_set("annotations", "image_id", 99), "image 99 is not in the list", "image-unknown"),
    (_set("images", "video_id", 99), "video 99 is not in the list", "video-unknown"),
    (
        _set("annotations", "amodal_mask", {"size": [5, 5], "counts": [25]}),
        "annotation 1001: amodal_mask",
        "rle-size",
    ),
    (
        lambda document: document["videos"].append({"id": 9, "name": "x"}),
        r"video 9 \(x\): has no images",
        "video-frameless",
    ),
    (_set("images", "file_name", "no.jpg"), "no such frame", "frame-missing"),
    (_set("categories", "name", "box"), "listed twice", "category-list"),
    (_set("categories", "name", ""), "empty name", "category-list"),
    (
        lambda document: document["annotations"][0].update(amodal_mask=None, visible_mask=None),
        "neither amodal_mask nor visible_mask",
        "field-missing",
    ),
    (_set("videos", "name", None), "video 1: None is not allowed", "video-name"),
    (_set("videos", "name", "train_b"), "name 'train_b' is not unique", "video-twice"),
    (_set("videos", "id", 2), "video 2: id 2 is not unique", "id-twice"),
    (_set("images", "id", 101), "image 101: id 101 is not unique", "id-twice"),
    (_set("images", "id", [1]), r"image \[1\]: id is \[1\]", "number-bad"),
    (_set("images", "frame_id", 1), "image 101: has the frame_id 1 of image 100", "image-twice"),
    (
        lambda document: document["images"][1].update(file_name="train/a/000.jpg"),
        r"image 101: has the file train/a/000\.jpg of image 100",
        "image-twice",
    ),
    (_set("images", "frame_id", None), "image 100: frame_id is missing", "field-missing"),
    (_set("annotations", "video_id", 2), "has video_id 2, but its image", "video-unknown"),
    (_set("annotations", "instance_id", "a"), "1001: instance_id is 'a'", "number-bad"),
    (_set("annotations", "instance_id", None), "1001: instance_id is missing", "field-missing"),
    (_set("annotations", "instance_id", 2), "instance 2 occurs twice", "object-twice"),
    (
        lambda document: document["videos"].extend(
            [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]
        ),
        "video 1: id 1 is not unique",
        "id-twice +2 ids",
    ),
    (lambda document: document["images"].clear(), "contains no images", "list-missing"),
    (lambda document: document["categories"].clear(), "lists no categories", "list-missing"),
    (lambda document: document.pop("categories"), "lists no categories", "list-missing"),
    (lambda document: document.update(annotations={}), "has no list `annotations`", "list-missing"),
    (_set("annotations", "id", 1002), "annotation 1002: id 1002 is not unique", "id-twice"),
    (
        _set("annotations", "amodal_mask", {"size": [96, 128], "counts": [96 * 128]}),
        "1001: amodal_mask has no pixel in the image; correct it, or remove the annotation",
        "mask-empty",
    ),
    (
        _set("annotations", "visible_mask", rectangle(50, 40, 20, 20)),
        r"1001: visible_mask extends beyond amodal_mask by \d+ pixels; correct one",
        "visible-outside",
    ),
    (
        _set("annotations", "occlude_rate", 0.25),
        "1001: occlude_rate is 0.25, but 0 by the masks",
        "rate-wrong",
    ),
    (
        _set("annotations", "amodal_mask", [[0, 0, 0.5, 0.1, 1, 1]]),
        r"1001: amodal_mask has .* multiply x by its width \(128\) and y by its height \(96\)",
        "rle-bad",
    ),
    (
        _rename("annotations", ("amodal_mask", "amodal"), ("visible_mask", "segmentation")),
        "1001: has neither .*; rename amodal to amodal_mask",
        "field-missing",
    ),
    (
        _rename("annotations", ("amodal_mask", "other"), ("visible_mask", "segmentation")),
        "1001: has neither .*; rename segmentation to visible_mask",
        "field-missing",
    ),
    (
        _rename("annotations", ("image_id", "image-id")),
        "1001: image_id is missing; rename image-id to image_id",
        "field-missing",
    ),
]


@pytest.mark.parametrize(("change", "message", "code"), BAD)
def test_bad_input(
    own: Path, tmp_path: Path, change: Callable[[Json], object], message: str, code: str
) -> None:
    _change(own, change)
    with pytest.raises(InputError, match=message) as refused:
        _prepare(own, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidData, match=code) as told:
        validate_joint(own / "frames", {"train": own / "train.json"}, ValidationConfig())
    assert str(refused.value) in str(told.value) or code in ("frame-missing", "object-twice")


def _without_tracks(document: Json) -> None:
    del document["videos"]
    document["images"][1]["id"] = document["images"][0]["id"]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda document: [image.pop("width") for image in document["images"]],
         {"field-missing": 12}),
        (lambda document: [video.pop("id") for video in document["videos"]],
         {"field-missing": 3}),
        (lambda document: document["images"].clear(), {"list-missing": 1}),
        (lambda document: document["categories"].clear(), {"list-missing": 1}),
        (_set("categories", "id", 3), {"category-list": 1}),
        (_set("annotations", "category_id", 99), {"category-unknown": 1}),
        (_set("annotations", "category_id", 3), {"object-category": 1}),
        (_without_tracks, {"id-twice": 1, "image-unknown": 2, "tracks-unknown": 1}),
    ],
)  # fmt: skip
def test_what_follows_from_a_fault_is_not_told(
    own: Path, change: Callable[[Json], object], codes: dict[str, int]
) -> None:
    _change(own, change)
    assert _counts(own) == codes


def _counts(own: Path) -> Counter[str]:
    findings = Findings()
    check_joint(own / "train.json", own / "frames", None, True, findings)
    return findings.counts


def test_a_file_without_annotations_is_told(own: Path, tmp_path: Path) -> None:
    _change(own, lambda document: document["annotations"].clear())
    assert _prepare(own, tmp_path / "out").kept == 0
    with pytest.raises(InvalidData, match=r"list-missing (.*\n)*.*contains no annotations; add"):
        validate_joint(own / "frames", {"train": own / "train.json"}, ValidationConfig())


@pytest.mark.parametrize("finding", ["mask-empty", "visible-outside", "rate-wrong"])
def test_accepted_masks_are_prepared(own: Path, tmp_path: Path, finding: str) -> None:
    (change,) = [change for change, _, code in BAD if code == finding]
    _change(own, change)
    settings = ValidationConfig(accept=(finding,))
    assert validate_joint(own / "frames", {"train": own / "train.json"}, settings).ok
    dataset = DatasetConfig(classes="data", validation=settings)
    assert prepare_joint(own / "train.json", own / "frames", dataset, tmp_path / "out").kept == 24


def test_annotations_without_a_mask_of_the_others_are_told(own: Path, tmp_path: Path) -> None:
    _change(own, _set("annotations", "visible_mask", None))
    assert _prepare(own, tmp_path / "out").incomplete == 1
    assert _counts(own) == {"mask-missing": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _rename("annotations", ("visible_mask", "visble_mask")),
            "annotation 1001: unknown field `visble_mask` (24 annotations); did you mean "
            "visible_mask?",
        ),
        (
            _rename("annotations", ("instance_id", "instance-id")),
            "annotation 1001: unknown field `instance-id` (24 annotations); did you mean "
            "instance_id?",
        ),
        (
            lambda document: document["images"][1].update(
                frame_Id=document["images"][1].pop("frame_id")
            ),
            "image 101: unknown field `frame_Id` (1 image); did you mean frame_id?",
        ),
        (
            lambda document: document.update(vidoes=document.pop("videos")),
            "unknown list `vidoes`; did you mean videos?",
        ),
    ],
)
def test_misspelt_names_are_told(own: Path, change: Callable[[Json], object], message: str) -> None:
    _change(own, change)
    findings = Findings()
    check_joint(own / "train.json", own / "frames", None, True, findings)
    assert [str(each) for each in findings.examples["field-unknown"]] == [
        f"{own / 'train.json'}: {message}"
    ]


@pytest.mark.parametrize(
    "change",
    [
        _set("annotations", "visble_mask", 1),  # beside the right one
        _set("annotations", "occluded", 1),
        _set("images", "a", 1),
    ],
)
def test_further_fields_are_no_misspelt_names(own: Path, change: Callable[[Json], object]) -> None:
    _change(own, change)
    assert not _counts(own)


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("a.webp", b"RIFF1234WEBPVP8 ", "frame-format", "but a WebP image; convert it to PNG"),
        ("a.gif", b"GIF89a", "frame-format", "but a GIF image; convert it to PNG"),
        ("a.dat", None, "frame-format", r"frames must be \.bmp, .*; correct its name"),
        ("a.png", "folder", "frame-unreadable", "is a folder, not a file"),
        ("none.webp", "", "frame-missing", r"no such frame; frames must be \.bmp"),
        ("x" * 300 + ".png", "", "frame-unreadable", "longer than the file system allows"),
    ],
)
def test_a_frame_that_is_there_is_not_called_missing(
    own: Path, tmp_path: Path, name: str, content: bytes | str | None, code: str, message: str
) -> None:
    frame = own / "frames" / name
    if content == "folder":
        frame.mkdir()
    elif content is None:
        cv2.imwrite(str(frame.with_suffix(".png")), np.zeros((96, 128, 3), np.uint8))
        frame.with_suffix(".png").rename(frame)
    elif isinstance(content, bytes):
        frame.write_bytes(content)
    _change(own, _set("images", "file_name", name))
    with pytest.raises(InputError, match=message):
        _prepare(own, tmp_path / "out")
    with pytest.raises(InvalidData) as told:
        validate_joint(own / "frames", {"train": own / "train.json"}, ValidationConfig())
    assert f"\nerror    {code}  1 frame " in str(told.value) and "1 error" in str(told.value)
    assert re.search(message, str(told.value))


def test_two_videos_may_share_a_file(own: Path, tmp_path: Path) -> None:
    _change(own, lambda document: document["images"][4].update(document["images"][0] | SECOND))
    _prepare(own, tmp_path / "out")


def test_all_faults_are_told(own: Path) -> None:
    for change in (
        _set("videos", "name", ".."),
        _set("images", "width", 0),
        _set("annotations", "iscrowd", 2),
        lambda document: document["annotations"][9].update(category_id=99),
        lambda document: document["annotations"][10].update(id=1012),
    ):
        _change(own, change)
    with pytest.raises(InvalidData) as told:
        validate_joint(own / "frames", {"train": own / "train.json"}, ValidationConfig())
    for code, number in (
        *(("video-name", 1), ("number-bad", 2), ("category-unknown", 1), ("id-twice", 1)),
        ("image-unknown", 1),  # the other annotation of the image that is wrong
    ):
        assert re.search(f"{code} +{number} ", str(told.value))


def test_validate(own: Path) -> None:
    files = {"train": own / "train.json", "valid": own / "valid.json"}
    report = validate_joint(own / "frames", files, ValidationConfig())
    assert report.ok
    assert report.looked_at["raw"]["frames"] == 24
    _change(own, _set("images", "width", 129))
    _change(own, lambda document: document["annotations"].clear())
    with pytest.raises(InvalidData, match="frame-size"):
        validate_joint(own / "frames", files, ValidationConfig())


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"format": "joint", "images": "x"}, "train_json is missing"),
        (
            {"format": "joint", "images": "x", "train_json": "a", "valid_json": "b", "raw": "c"},
            "raw and archives are not used with format joint; remove them",
        ),
        ({"images": "x"}, "set format: joint"),
    ],
)
def test_config(dataset: Json, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_config({"dataset": dataset}, "config", Config)


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text()
    document = json.loads(text.split("```json\n")[1].split("```")[0])
    (image,) = document["images"]
    path = tmp_path / "frames" / image["file_name"]
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.zeros((image["height"], image["width"], 3), np.uint8))
    for subset in ("train", "valid"):
        (tmp_path / f"{subset}.json").write_text(json.dumps(document))
    files = {"train": tmp_path / "train.json", "valid": tmp_path / "valid.json"}
    assert validate_joint(tmp_path / "frames", files, ValidationConfig()).ok
    result = prepare_joint(files["train"], tmp_path / "frames", DATA, tmp_path / "out")
    assert (result.kept, result.mask_types) == (1, ("amodal", "visible"))
    (item,) = read_json(tmp_path / "out" / "joint.json")["annotations"]
    assert item["occlude_rate"] == pytest.approx(8 / 30)


@pytest.mark.parametrize("name", ["joint.json", "video_visible.json"])
def test_own_annotations_are_never_written_over(own: Path, name: str) -> None:
    source = (own / "train.json").rename(own / name)
    before = source.read_bytes()
    with pytest.raises(InputError, match=rf"{name}: would overwrite the input"):
        prepare_joint(source, own / "frames", DATA, own)
    assert source.read_bytes() == before
    assert not (own / "amodal.json").exists()
