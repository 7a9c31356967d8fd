"""The conversion as a whole: its files, its limits, damaged masks, and that all files are there or
none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Mini
from tests.sailvos.conversion import (
    FILES,
    Json,
    content,
    names,
    set_rates,
    write_inputs,
)
from tests.sailvos.official import HEIGHT, WIDTH, mask
from tests.sailvos.random_subsets import plainly_regrouped, subsets
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import DatasetConfig
from vatrack.data import store
from vatrack.data.forms import FORMS, form_maker
from vatrack.data.store import open_store
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.sailvos import convert
from vatrack.sailvos.convert import convert_files


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
