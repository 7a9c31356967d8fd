"""The conversion as a whole: its files, its limits, damaged masks, and that all files are there or
none."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_tools

from tests.conftest import Mini
from tests.sailvos.official import HEIGHT, STRUCTURE, WIDTH, mask, official
from tests.sailvos.random_subsets import plainly_regrouped, subsets
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MaskType
from vatrack.common.rle import decode
from vatrack.common.value_files import read_json
from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import DatasetConfig
from vatrack.data import form_files, store, store_writer
from vatrack.data.forms import FORMS, form_maker
from vatrack.data.store import open_store
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.sailvos import convert, rewrite
from vatrack.sailvos.convert import convert_files

Json = dict[str, Any]
Change = Callable[[Json], object]

ROOT = Path(convert.__file__).parents[2]
STORES = [f"{form}.json.store" for form in FORMS]
FILES = sorted(
    [*(f"{form}.json" for form in FORMS), *STORES, "video_amodal.json", "video_visible.json"]
)


def write_inputs(folder: Path, change: Change = lambda data: None) -> tuple[Path, Path]:
    data = official({"a": 3, "b": 2})
    change(data)
    write_json(folder / "train.json", data)
    write_json(folder / "structure.json", STRUCTURE)
    return folder / "train.json", folder / "structure.json"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path, keep: str = "") -> dict[str, bytes]:
    """All files; of stores, which hold a time stamp, only that they are there."""
    files = sorted(folder.iterdir()) if folder.exists() else []
    return {path.name: b"" if path.suffix == ".store" else path.read_bytes() for path in files}


def set_rates(*rates: float) -> Change:
    def change(data: Json) -> None:
        for item, rate in zip(data["annotations"], rates, strict=True):
            item["occlude_rate"] = rate

    return change


def test_forms_of_a_small_set(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    out = tmp_path / "new" / "out"
    summary = str(convert_files(train, structure, DatasetConfig(clips={"mode": "png"}), out))
    assert (
        summary
        == f"3 clips, 5 frames, 8 of 10 annotations (occlusion up to 0.75), 3 tracks in {out}"
    )
    assert names(out) == FILES
    assert names(out.parent) == ["out"]
    forms = {form: read_json(out / f"{form}.json") for form in FORMS}
    for data in forms.values():
        # Rates 0.75 stay, 0.95 go; images stay all the same.
        assert list(data) == ["categories", "models", "videos", "images", "annotations"]
        assert [item["id"] for item in data["annotations"]] == [0, 1, 2, 4, 5, 6, 7, 8]
        assert [item["instance_id"] for item in data["annotations"]] == [1, 2, 1, 3, 4, 5, 6, 5]
        assert [image["file_name"][-4:] for image in data["images"]] == [".png"] * 5
        assert {item["category_id"] for item in data["annotations"]} == {2}
        assert [(category["id"], category["name"]) for category in data["categories"]] == list(
            enumerate(CATEGORIES, start=1)
        )
        assert [model["category_id"] for model in data["models"]] == [2, 3]
    first = {form: data["annotations"][0] for form, data in forms.items()}
    amodal, visible = mask(0), mask(1)
    assert [first[form]["segmentation"] for form in FORMS] == [
        visible,
        amodal,
        [amodal, visible],
        [amodal, visible],
    ]


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy"])
def test_frames_keep_their_suffix_where_they_are_not_converted(tmp_path: Path, mode: str) -> None:
    train, structure = write_inputs(tmp_path)
    convert_files(train, structure, DatasetConfig(clips={"mode": mode}), tmp_path / "out")
    images = read_json(tmp_path / "out" / "joint.json")["images"]
    assert [image["file_name"][-4:] for image in images] == [".bmp"] * 5


BELOW, ABOVE = 0.7499999999999999, 0.7500000000000001


@pytest.mark.parametrize(
    ("limit", "track_limit", "kept", "tracked"),
    [
        (
            0.75,
            0.75,
            [0, 1, 2, 3, 6, 7],
            [0, 1, 3, 6, 7],
        ),  # the published limits (spec 1.5): at most, and below
        (0.75, 1.0, [0, 1, 2, 3, 6, 7], [0, 1, 2, 3, 6, 7]),  # tracks are made of what frames have
        (1.0, 0.75, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 3, 6, 7]),
        (1.0, 1.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 6, 7, 8]),
        (BELOW, 0.75, [0, 1, 3, 6, 7], [0, 1, 3, 6, 7]),
        (0.5, BELOW, [0, 3, 6, 7], [0, 3, 6, 7]),
        (0.0, 0.0, [0, 6, 7], []),
        (0.0, 1.0, [0, 6, 7], [0, 6, 7]),
    ],
)
def test_limits(
    tmp_path: Path, limit: float, track_limit: float, kept: list[int], tracked: list[int]
) -> None:
    rates = [0, BELOW, 0.75, 0.5, ABOVE, 1, 0.0, 0, 0.9, 1]
    train, structure = write_inputs(tmp_path, set_rates(*rates))
    dataset = DatasetConfig(max_occlusion=limit, video_max_occlusion=track_limit)
    convert_files(train, structure, dataset, tmp_path / "out")
    for form in FORMS:
        assert [
            item["id"] for item in read_json(tmp_path / "out" / f"{form}.json")["annotations"]
        ] == kept
    joint = read_json(tmp_path / "out" / "joint.json")
    for mask_type in ("amodal", "visible"):
        found = read_json(tmp_path / "out" / f"video_{mask_type}.json")
        assert found == video_ground_truth(
            joint, mask_type, 2.0 if track_limit == 1.0 and limit < 1 else track_limit
        )
        shown = [
            rate
            for track in found["annotations"]
            for rate in track["occlude_rate"]
            if rate is not None
        ]
        assert sorted(shown) == sorted(rates[number] for number in tracked)
        assert list(found) == ["categories", "videos", "annotations"]
        assert [track["id"] for track in found["annotations"]] == list(
            range(1, len(found["annotations"]) + 1)
        )
    stored = open_store(tmp_path / "out" / "joint.json")
    assert int(stored.frames["count"].sum()) == len(kept)


def plainly_converted(
    structure: dict[str, list[str]], data: Json, dataset: DatasetConfig
) -> dict[str, Json]:
    """All files, in memory and one step after the other."""
    clips = plainly_regrouped(structure, data)
    numbers = {category["id"]: place for place, category in enumerate(data["categories"], start=1)}
    head = {
        "categories": [
            {**category, "id": numbers[category["id"]]} for category in data["categories"]
        ],
        "models": [
            {**model, "category_id": numbers.get(model["category_id"], model["category_id"])}
            for model in data["models"]
        ],
        "videos": clips["videos"],
        "images": clips["images"],
    }
    if dataset.clips.mode == "png":
        head["images"] = [
            {**image, "file_name": image["file_name"].replace(".bmp", ".png")}
            for image in head["images"]
        ]
    items = [{**item, "category_id": numbers[item["category_id"]]} for item in clips["annotations"]]
    kept = [item for item in items if item["occlude_rate"] <= dataset.max_occlusion]
    files = {}
    for form in FORMS:
        make = form_maker(form, dataset.joint_box)
        files[form] = {**head, "annotations": [make(item) for item in kept]}
    for mask_type in ("amodal", "visible"):
        files[f"video_{mask_type}"] = video_ground_truth(
            files["joint"], mask_type, dataset.video_max_occlusion
        )
    return files


ANNOTATIONS: dict[str, st.SearchStrategy[Any]] = {
    "subset": subsets(),
    "rates": st.lists(
        st.sampled_from([0.0, 0.3, BELOW, 0.75, ABOVE, 1.0]) | st.floats(0, 1),
        min_size=25,
        max_size=25,
    ),
    "categories": st.lists(st.sampled_from(range(10, 250, 10)), min_size=25, max_size=25),
    "limit": st.sampled_from([0.3, 0.75, 1.0]),
    "track_limit": st.sampled_from([0.3, 0.75, 1.0]),
    "box": st.sampled_from(["amodal", "visible"]),
    "mode": st.sampled_from(["png", "copy"]),
    "piece": st.sampled_from([1, 700, 1 << 21]),
}


def check_annotations(
    tmp_path: Path,
    subset: tuple[dict[str, list[str]], Json],
    rates: list[float],
    categories: list[int],
    limit: float,
    track_limit: float,
    box: str,
    mode: str,
    piece: int,
) -> None:
    structure, data = subset
    for image in data["images"]:
        image.update(width=WIDTH, height=HEIGHT)
    for place, item in enumerate(data["annotations"]):
        item.update(
            occlude_rate=rates[place], category_id=categories[place], segmentation=mask(7 * place)
        )
    values: dict[str, Any] = {
        "clips": {"mode": mode},
        "joint_box": box,
        "max_occlusion": limit,
        "video_max_occlusion": track_limit,
    }
    dataset = DatasetConfig(**values)
    write_json(tmp_path / "train.json", data)
    write_json(tmp_path / "structure.json", structure)

    def run() -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convert, "PIECE", piece)
            done = convert_files(
                tmp_path / "train.json", tmp_path / "structure.json", dataset, tmp_path / "out"
            )
            return str(done)

    try:
        expected = plainly_converted(structure, data, dataset)
    except InputError as error:
        # An instance is twice in a frame; the whole joint form tells it the same way.
        with pytest.raises(InputError, match=rf"train\.json: {error}; see"):
            run()
        return
    if not expected["joint"]["images"]:
        with pytest.raises(InputError, match=r"none of its images is in|contains no clip with"):
            run()
        return
    run()
    assert {path.stem: read_json(path) for path in (tmp_path / "out").glob("*.json")} == expected
    for form in FORMS:
        assert len(open_store(tmp_path / "out" / f"{form}.json").spans) == len(
            expected[form]["annotations"]
        )


@pytest.mark.parametrize("examples", [15, pytest.param(150, marks=pytest.mark.slow)])
def test_any_annotations(tmp_path: Path, examples: int) -> None:
    @settings(max_examples=examples)
    @given(case=st.fixed_dictionaries(ANNOTATIONS))
    def check(case: dict[str, Any]) -> None:
        check_annotations(tmp_path, **case)

    check()


@pytest.mark.parametrize("mode", ["hardlink", "png"])
def test_miniature_set(mini: Mini, tmp_path: Path, mode: str) -> None:
    clips = read_json(mini.structure)
    limits = {"max_occlusion": 0.6, "video_max_occlusion": 0.4}
    for subset in ("train", "valid"):
        out = tmp_path / subset
        convert_files(
            mini.official(subset),
            mini.structure,
            DatasetConfig(clips={"mode": mode}, **limits),
            out,
        )
        assert names(out) == FILES
        source = read_json(mini.official(subset))
        expected = {
            item["id"]: item for item in source["annotations"] if item["occlude_rate"] <= 0.6
        }
        numbers = {category["id"]: n for n, category in enumerate(source["categories"], start=1)}
        files = {image["id"]: image["file_name"] for image in source["images"]}
        for form in FORMS:
            data = read_json(out / f"{form}.json")
            assert {item["id"] for item in data["annotations"]} == set(expected)
            images = {image["id"]: image for image in data["images"]}
            videos = {video["id"]: video["name"] for video in data["videos"]}
            for image in images.values():
                clip, _, file = image["file_name"].split("/")
                assert clip == videos[image["video_id"]]
                assert Path(file).suffix == (".png" if mode == "png" else ".bmp")
                assert clips[clip][image["frame_id"]] == f"{Path(file).stem}.bmp"
                assert files[image["id"]] == f"{clip.split('__')[0]}/images/{Path(file).stem}.bmp"
            for item in data["annotations"]:
                assert item["category_id"] == numbers[expected[item["id"]]["category_id"]]
                assert item["visible_mask"] == expected[item["id"]]["visible_mask"]
        joint = read_json(out / "joint.json")
        for mask_type in ("amodal", "visible"):
            tracks = read_json(out / f"video_{mask_type}.json")
            assert tracks == video_ground_truth(joint, mask_type, 0.4)
            assert (
                0
                < len(tracks["annotations"])
                < len({item["instance_id"] for item in joint["annotations"]}) + 1
            )


def test_subsets_share_the_dictionary(mini: Mini, tmp_path: Path) -> None:
    found = []
    for subset in ("train", "valid"):
        convert_files(mini.official(subset), mini.structure, DatasetConfig(), tmp_path / subset)
        found += [video["name"] for video in read_json(tmp_path / subset / "joint.json")["videos"]]
    assert sorted(found) == sorted(read_json(mini.structure))


def test_the_files_do_not_depend_on_how_the_work_is_cut_up(
    mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(source: Path, processes: int = 1) -> dict[str, bytes]:
        convert_files(source, mini.structure, DatasetConfig(), tmp_path / "out", processes)
        return content(tmp_path / "out")

    train = mini.official("train")
    expected = run(train)
    assert len(expected) == len(FILES)
    for name in expected:
        if not name.endswith(".store"):
            json.loads(expected[name])
    packed = tmp_path / "train.json.gz"
    packed.write_bytes(gzip.compress(train.read_bytes()))
    assert run(packed) == expected
    # Another layout of the text.
    write_json(tmp_path / "indented.json", read_json(train), indent=3)
    assert run(tmp_path / "indented.json") == expected
    for piece in (1, 5000, 1 << 30):
        monkeypatch.setattr(convert, "PIECE", piece)
        assert run(train) == expected
    monkeypatch.setattr(convert, "PIECE", 20_000)
    assert run(packed, processes=2) == expected
    assert names(tmp_path) == ["indented.json", "out", "train.json.gz"]


def test_the_stores_are_fresh_and_hold_every_place(
    mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_files(mini.official("train"), mini.structure, DatasetConfig(), tmp_path / "out")

    def fail(*_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(store, "_build", fail)
    for form in FORMS:
        path = tmp_path / "out" / f"{form}.json"
        data, text = read_json(path), path.read_bytes()
        found = open_store(path)
        assert found.texts == path
        images = [int(row["image_id"]) for row in found.frames for _ in range(row["count"])]
        places = [
            json.loads(text[offset : offset + length]) for offset, length in found.spans.tolist()
        ]
        assert [item["image_id"] for item in places] == images
        assert sorted(places, key=lambda item: item["id"]) == sorted(
            data["annotations"], key=lambda item: item["id"]
        )


def test_a_clip_without_annotations(tmp_path: Path) -> None:
    def change(data: Json) -> None:
        data["annotations"] = [
            item for item in data["annotations"] if item["image_id"] not in (0, 1)
        ]

    train, structure = write_inputs(tmp_path, change)
    done = convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert (done.kept, done.annotations) == (5, 6)
    data = read_json(tmp_path / "out" / "joint.json")
    assert len(data["images"]) == 5
    assert [item["instance_id"] for item in data["annotations"]] == [1, 2, 3, 4, 3]
    tracks = read_json(tmp_path / "out" / "video_amodal.json")["annotations"]
    assert {track["video_id"] for track in tracks} == {2, 3}


def test_no_annotations(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path, lambda data: data.update(annotations=[]))
    done = convert_files(train, structure, DatasetConfig(), tmp_path / "out", processes=2)
    assert "0 of 0 annotations" in str(done)
    for name in names(tmp_path / "out"):
        if name.endswith(".json"):
            data = read_json(tmp_path / "out" / name)
            assert data["annotations"] == []
            assert len(data["videos"]) == 3
    assert len(open_store(tmp_path / "out" / "joint.json").frames) == 5


def test_clips_of_nothing_are_refused(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path, lambda data: data.update(annotations=[]))
    for clips, told in (
        ({}, f"{structure}: contains no clip with frames; give the file from `vatrack cuts"),
        ({"a__9": []}, f"{structure}: contains no clip with frames; give the file from `vatrack"),
        (
            {"other__7": ["000003.bmp"]},
            f"{train}: none of its images is in a clip of {structure}; give files of the same data",
        ),
    ):
        write_json(structure, clips)
        with pytest.raises(InputError, match=re.escape(told)):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["annotations"][3].update(category_id=3),
            "annotation 3: category 3 is not in the list of categories",
        ),
        (
            lambda d: d["categories"].reverse(),
            r"differ from the method's 24 .*\(first difference at category 1\)",
        ),
        (
            lambda d: d["categories"].pop(),
            r"its categories \(23\) .* \(first difference at category 24\)",
        ),
        (
            lambda d: d["annotations"][9].update(instance_id=104, occlude_rate=0.1),
            "annotation 9: instance 5 occurs twice in image 4",
        ),
        (
            lambda d: d["annotations"][6].update(bbox=[1, 1, -1, 4]),
            "annotation 6: bbox is .* with non-negative width and height",
        ),
        (
            lambda d: d["annotations"].append(d["annotations"][0]),
            "annotations: id 0 occurs more than once",
        ),
        (
            lambda d: d["images"][2].update(file_name="a/images/000009.bmp"),
            r"clip a__3: its frame 000005\.bmp is not in",
        ),
    ],
)
def test_bad_annotations(tmp_path: Path, change: Change, message: str) -> None:
    train, structure = write_inputs(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert str(train) in str(caught.value)
    assert names(tmp_path) == ["structure.json", "train.json"]


def damaged_masks() -> Iterator[Any]:
    whole = mask(0b1011)
    damages: dict[str, Json] = {
        "transposed": {**whole, "size": [WIDTH, HEIGHT]},
        "one row less": {**whole, "size": [HEIGHT - 1, WIDTH]},
        "same number of pixels": {**whole, "size": [1, HEIGHT * WIDTH]},
        "of a larger image": {"size": [HEIGHT, WIDTH], "counts": "P6"},
        "garbage": {**whole, "counts": "garbage! \n"},
        "letters of another language": {**whole, "counts": "маска"},
        "empty": {**whole, "counts": ""},
        "a run that never ends": {**whole, "counts": "o" * 50},
        "a negative run": {**whole, "counts": "O" + whole["counts"]},
        "twice": {**whole, "counts": whole["counts"] * 2},
    }
    for size in range(len(whole["counts"])):
        damages[f"cut to {size}"] = {**whole, "counts": whole["counts"][:size]}
    for name, damaged in damages.items():
        for key in ("segmentation", "visible_mask"):
            yield pytest.param(key, damaged, id=f"{key}-{name}")


@pytest.mark.parametrize(("key", "damaged"), list(damaged_masks()))
def test_a_damaged_mask_is_refused_before_anything_draws_it(
    tmp_path: Path, key: str, damaged: Json
) -> None:
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][5].update({key: damaged})
    )
    with pytest.raises(
        InputError,
        match=rf"annotation 5: {key} (is damaged|has size|has invalid counts)",
    ) as caught:
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert str(caught.value).startswith(f"{train}: ")
    assert names(tmp_path) == ["structure.json", "train.json"]


def test_a_damaged_mask_is_named_by_another_process_too(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "joint.json").write_text("old")
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][5]["visible_mask"].update(counts="x")
    )
    with pytest.raises(InputError, match=r"annotation 5: visible_mask is damaged: .* fill"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out", processes=2)
    assert content(tmp_path / "out") == {"joint.json": b"old"}
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


def test_masks_that_are_not_used_are_not_looked_at(tmp_path: Path) -> None:
    """Annotation 3 is too much occluded to be written."""
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][3]["visible_mask"].update(counts="x")
    )
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    with pytest.raises(InputError, match="annotation 3: visible_mask"):
        convert_files(train, structure, DatasetConfig(max_occlusion=1), tmp_path / "out")


def test_cut_off_annotations(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    whole = train.read_bytes()
    for size in (0, 1, 3000, len(whole) - 3):
        train.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"not valid JSON|is empty"):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    packed = tmp_path / "train.json.gz"
    for size in (0, 10, 500):
        packed.write_bytes(gzip.compress(whole)[:size])
        with pytest.raises(InputError, match=r"train\.json\.gz: .* again"):
            convert_files(packed, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path) == ["structure.json", "train.json", "train.json.gz"]


def test_the_folder_may_not_be_a_file(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="out: is a file, not a folder; choose"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_all_files_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, structure = write_inputs(tmp_path)

    def fails_at_the_last(joint: Json, mask_type: MaskType, limit: float) -> Json:
        if mask_type == "visible" and joint["videos"] == [{"id": 3}]:
            raise OSError("no space")
        return video_ground_truth(joint, mask_type, limit)

    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "video_ground_truth", fails_at_the_last)
        with pytest.raises(OSError, match="no space"):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path) == ["structure.json", "train.json"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path / "out") == sorted([*FILES, "notes.txt"])
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


def hidden(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


def killed_at(owner: Any, name: str, count: int, *arguments: Any) -> bool:
    """Converts in another process, which kills itself (signal 9) at the n-th call of a function;
    whether it came to that."""
    real, left = getattr(owner, name), count

    def killed(*values: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values, **options)

    def run() -> None:
        setattr(owner, name, killed)
        convert_files(*arguments)

    process = get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


CALLS = [
    (convert, "read_structure"),
    (convert, "unpacked"),
    (convert, "forms_of"),
    (form_files.FormFile, "add"),
    (store_writer.StoreWriter, "write"),
    (rewrite, "video_ground_truth"),
    pytest.param(os, "fsync", marks=pytest.mark.slow),
    (convert, "move_files"),
    pytest.param(Path, "unlink", marks=pytest.mark.slow),
    pytest.param(os, "replace", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("owner", "name"), CALLS)
def test_killed(tmp_path: Path, owner: Any, name: str) -> None:
    """Whenever it happens, old files are there as they were, or new ones, but never both; the next
    run cleans up."""
    train, structure = write_inputs(tmp_path, set_rates(*[0.2] * 10))
    out = tmp_path / "out"
    convert_files(train, structure, DatasetConfig(), out)
    old = content(out)
    write_inputs(tmp_path, set_rates(*[0.1] * 10))
    convert_files(train, structure, DatasetConfig(), tmp_path / "finished")
    new = content(tmp_path / "finished")
    packed = tmp_path / "train.json.gz"
    packed.write_bytes(gzip.compress(train.read_bytes()))
    partly = killed = 0
    for count in itertools.count(1):
        for file, text in old.items():
            (out / file).write_bytes(text)
        if not killed_at(owner, name, count, packed, structure, DatasetConfig(), out):
            break
        killed += 1
        found = content(out)
        if found != old:
            partly += 1
            assert all(old[file] == found[file] for file in found) or all(
                new[file] == found[file] for file in found
            )
        # What earlier ones left is gone, what this one left is there.
        assert len(hidden(tmp_path)) == (name != "read_structure")
    assert killed > 0
    # Between the first removal and the last move some files are gone.
    assert (partly > 0) == (name in ("unlink", "replace"))
    assert content(out) == new
    assert hidden(tmp_path) == []


JOB = """
import os, signal, sys
from pathlib import Path
from vatrack.config.dataset import DatasetConfig
from vatrack.data import form_files
from vatrack.sailvos import convert

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    form_files.FormFile.add = killed
    convert.convert_files(*map(Path, sys.argv[1:3]), DatasetConfig(), Path(sys.argv[3]), 2)
"""


def test_killed_with_processes(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    out = tmp_path / "out"
    (tmp_path / "job.py").write_text(JOB)
    # What the workers write is waited for to its end, so that this would hang if they outlived
    # their parent.
    job = [sys.executable, str(tmp_path / "job.py"), str(train), str(structure), str(out)]
    done = subprocess.run(
        job, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    assert len(hidden(tmp_path)) == 1
    convert_files(train, structure, DatasetConfig(), out)
    assert names(out) == FILES
    assert names(tmp_path) == ["job.py", "out", "structure.json", "train.json"]


def test_a_run_leaves_the_folder_of_another_that_still_works_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, structure = write_inputs(tmp_path)
    real = form_files.move_files
    inner: list[Path] = []

    def meanwhile(folder: Path, out: Path) -> None:
        if not inner:
            inner.append(out)
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
        real(folder, out)

    monkeypatch.setattr(convert, "move_files", meanwhile)
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert inner and names(tmp_path / "out") == FILES
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


@pytest.mark.parametrize(
    ("packed", "processes", "steps"), [(False, 1, 1), (True, 1, 1), (False, 2, 100)]
)
def test_full_disk(
    tmp_path: Path, small_disk: Path, packed: bool, processes: int, steps: int
) -> None:
    train, structure = write_inputs(tmp_path, set_rates(*[0.2] * 10))
    out = small_disk / "out"
    convert_files(train, structure, DatasetConfig(), out)
    old = content(out)
    write_inputs(tmp_path, set_rates(*[0.1] * 10))
    if packed:
        (tmp_path / "train.json.gz").write_bytes(gzip.compress(train.read_bytes()))
        train = tmp_path / "train.json.gz"
    page = os.statvfs(small_disk).f_frsize
    failed = 0
    for pages in range(0, 101, steps):
        filler = small_disk / "filler"
        filler.write_bytes(bytes(page * (os.statvfs(small_disk).f_bavail - pages)))
        try:
            convert_files(train, structure, DatasetConfig(), out, processes)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
            failed += 1
            assert content(out) == old
            assert names(small_disk) == ["filler", "out"]
        else:
            break
        finally:
            filler.unlink()
    assert failed >= (8 if processes == 1 else 1)
    assert content(out) != old
    assert names(out) == FILES


@pytest.mark.parametrize("form", ["runs", "polygons", "empty runs"])
def test_masks_of_every_form_become_canonical(tmp_path: Path, form: str) -> None:
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    bitmap[1:5, 2:7] = 1
    code = rle_tools.encode(bitmap)["counts"]
    runs = decode(code)
    given: Any = {
        "runs": {"size": [HEIGHT, WIDTH], "counts": runs},
        "polygons": [[2, 1, 7, 1, 7, 5, 2, 5]],
        "empty runs": {"size": [HEIGHT, WIDTH], "counts": [*runs, 0, 0]},
    }[form]
    train, structure = write_inputs(
        tmp_path,
        lambda data: data["annotations"][4].update(
            segmentation=given, iscrowd=None, occlude_rate=-1e-9
        ),
    )
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    found = {a["id"]: a for a in read_json(tmp_path / "out" / "joint.json")["annotations"]}[4]
    assert found["amodal_mask"] == {"size": [HEIGHT, WIDTH], "counts": code.decode()}
    assert (found["iscrowd"], found["occlude_rate"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iscrowd": "0"}, "iscrowd is '0'; must be 0 or 1"),
        ({"occlude_rate": -0.02}, "occlude_rate is -0.02; must be a number from 0 to 1"),
        ({"occlude_rate": 1.01}, "occlude_rate is 1.01; must be a number from 0 to 1"),
        ({"category_id": {"id": 10}}, r"category_id is \{'id': 10\}; must be an integer"),
    ],
)
def test_fields_mean_the_same_as_elsewhere(tmp_path: Path, changes: Json, message: str) -> None:
    train, structure = write_inputs(tmp_path, lambda data: data["annotations"][4].update(changes))
    with pytest.raises(InputError, match=rf"annotation(s, id)? 4: {message}"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")


@pytest.mark.parametrize("name", ["visible.json", "video_amodal.json"])
def test_official_annotations_are_never_written_over(tmp_path: Path, name: str) -> None:
    train, structure = write_inputs(tmp_path)
    train = train.rename(tmp_path / name)
    before = content(tmp_path)
    with pytest.raises(InputError, match=rf"{name}: would overwrite the input"):
        convert_files(train, structure, DatasetConfig(), tmp_path)
    with pytest.raises(InputError, match="would overwrite the input"):
        convert_files(train, structure, DatasetConfig(raw=tmp_path), tmp_path)
    assert content(tmp_path) == before
