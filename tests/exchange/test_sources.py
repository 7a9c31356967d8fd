"""Results of other tools that are wrong, of another form, or empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.evaluation.scenes import detection, document, rectangle, rle
from tests.exchange.exchanged import load, overlapping, write
from vatrack.common.errors import InputError
from vatrack.exchange import export_predictions, import_predictions

BOX = {"image_id": 1, "category_id": 1, "score": 1, "bbox": [0, 0, 2, 2]}
TRACK = {"video_id": 1, "category_id": 1, "score": 1, "segmentations": [None]}
NO_MOTS = "line 1: not a line of MOTS; write `frame id class height width mask`"
NO_MOTCHALLENGE = "line 1: not a line of MOTChallenge; write `frame, id, left"


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("coco", {"a": 1}, "not a list of detections"),
        ("coco", [17], "item 1: not a JSON object; write each detection"),
        ("coco", [{"image_id": 1}], "item 1: has no 'category_id'"),
        ("coco", [BOX | {"image_id": 99}], "item 1: image_id 99 is not in"),
        ("coco", [BOX | {"category_id": 77}], r"item 1: class 77 .*: 1 .*, \.\.\.\); cor"),
        ("coco", [BOX | {"bbox": None}], "neither a mask nor a box"),
        ("coco", [BOX | {"score": "x"}], "score is 'x'"),
        ("ytvis", {"a": 1}, "not a list of tracks"),
        ("ytvis", [TRACK], "has 1 segmentation, but its video 'clip__1' has 2 frames"),
        ("ytvis", [TRACK | {"video_id": 9}], "video_id 9 is not in"),
        ("ytvis", [TRACK | {"video_id": True}], "video_id True is not in"),
        ("mots", "0 1001 1 120 160", NO_MOTS),
        ("mots", "5 1001 1 120 160 0", r"line 1: frame 5 \(counted from 0\) is not one of the 2"),
        ("mots", "0 1001 1 12 16 0", r"line 1: its mask has size \[12, 16\]"),
        ("mots", "0 1001 1 120 160 ~~", "line 1: its mask is damaged"),
        ("motchallenge", "1,1,5", NO_MOTCHALLENGE),
        ("motchallenge", "1,1,5,5,9,9,1,-1,-1,-1", "line 1: has no class"),
        ("motchallenge", "1,1,5,5,9,nan,1,1,-1,-1", r"line 1: bbox is \["),
        ("motchallenge", "1,1,5,5,9,9,1,inf,-1,-1", NO_MOTCHALLENGE),
        ("motchallenge", "1,1,5,5,9,9,1,1.5,-1,-1", NO_MOTCHALLENGE),
        ("motchallenge", "1.5,1,5,5,9,9,1,1,-1,-1", NO_MOTCHALLENGE),
    ],
)
def test_bad_sources(tmp_path: Path, form: Any, content: Any, message: str) -> None:
    truth, _ = overlapping(tmp_path)
    if isinstance(content, str):
        source = tmp_path / "source"
        source.mkdir()
        (source / "clip__1.txt").write_text(content + "\n")
    else:
        source = tmp_path / "source.json"
        source.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        import_predictions(source, truth, form, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_few_classes_are_all_said(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    document = json.loads(truth.read_text())
    document["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    truth.write_text(json.dumps(document))
    (tmp_path / "source.json").write_text(json.dumps([BOX | {"category_id": 77}]))
    with pytest.raises(InputError, match=r"\(classes: 1 dog, 2 cat\); correct it"):
        import_predictions(tmp_path / "source.json", truth, "coco", tmp_path / "out.jsonl")


def test_a_box_outside_of_its_image_has_an_empty_mask(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/clip__1.txt").write_text("1,1,10,-30,20,10,1,1\n2,1,300,5,9,9,1,1\n")
    import_predictions(tmp_path / "source", truth, "motchallenge", tmp_path / "out.jsonl")
    areas = [int(coco_mask.area(item["visible"])) for item in load(tmp_path / "out.jsonl")]
    assert areas == [0, 0]


@pytest.mark.parametrize("mask", [None, []])
def test_a_box_is_the_mask_where_there_is_none(tmp_path: Path, mask: Any) -> None:
    truth, _ = overlapping(tmp_path)
    (tmp_path / "r.json").write_text(json.dumps([BOX | {"segmentation": mask}]))
    import_predictions(tmp_path / "r.json", truth, "coco", tmp_path / "out.jsonl")
    (item,) = load(tmp_path / "out.jsonl")
    assert item["visible"] == rle(rectangle(0, 0, 2, 2))


def test_a_file_of_a_video_that_is_not_listed(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/other.txt").write_text("0 1001 1 120 160 0\n")
    with pytest.raises(InputError, match=r"has no video 'other'; name the file after .*: clip__1"):
        import_predictions(tmp_path / "source", truth, "mots", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="no such folder; this format needs a folder"):
        import_predictions(tmp_path / "none", truth, "mots", tmp_path / "out.jsonl")


@pytest.mark.parametrize(("form", "other"), [("coco", "ytvis"), ("ytvis", "coco")])
def test_a_source_of_another_form_is_named(
    scene: tuple[Path, Path], tmp_path: Path, form: Any, other: Any
) -> None:
    truth, lines = scene
    out, source = tmp_path / "out.jsonl", tmp_path / "r.json"
    export_predictions(lines, truth, form, source)
    with pytest.raises(InputError, match=f"item 1: looks like a .*; use --from {form}"):
        import_predictions(source, truth, other, out)
    with pytest.raises(InputError, match="is a file of predictions already; give it to"):
        import_predictions(lines, truth, form, out)


@pytest.mark.parametrize("form", ["coco", "ytvis", "mots", "mots-challenge"])
def test_results_of_nothing_are_warned_of(tmp_path: Path, form: Any) -> None:
    truth, _ = overlapping(tmp_path)
    source = tmp_path / "theirs"
    if form in ("coco", "ytvis"):
        source.write_text("[]")
    else:
        source.mkdir()
        (source / "clip__1.txt").write_text("")
    with pytest.warns(UserWarning, match="contains no predictions") as said:
        assert import_predictions(source, truth, form, tmp_path / "o.jsonl").detections == 0
    assert [str(one.message) for one in said if one.category is UserWarning] == [
        f"{source}: contains no predictions, so the file that is written is empty; check the file "
        "if that is not meant"
    ]


def test_detections_without_a_track_are_not_joined(tmp_path: Path) -> None:
    """By id -1, or by the number of their item, which is the id of another one."""
    truth, _ = write(tmp_path, document([3]), [])
    boxes, back = tmp_path / "boxes", tmp_path / "back.jsonl"
    boxes.mkdir()
    lines = [f"{frame},{track},5,5,9,9,1,1" for frame, track in ((1, -1), (2, -1), (1, 7), (3, 7))]
    (boxes / "clip__1.txt").write_text("\n".join(lines))
    notes = import_predictions(boxes, truth, "motchallenge", back).notes
    assert "detections with id -1 become tracks of one frame" in notes
    assert [item["track_id"] for item in load(back)] == [-1, -2, 7, 7]
    mask = detection(1, 1, 0.5, 1, rectangle(0, 0, 9, 9))["amodal"]
    items: list[dict[str, Any]] = [
        {"video_id": 1, "category_id": 1, "score": 1, "segmentations": [None] * 3} for _ in "ab"
    ]
    for place, item in enumerate(items):
        item["segmentations"] = [None] * place + [mask] + [None] * (2 - place)
    for ids, wanted in (({}, [1, 2]), ({"track_id": 1}, [-1, 1])):
        (tmp_path / "r.json").write_text(json.dumps([items[0], items[1] | ids]))
        import_predictions(tmp_path / "r.json", truth, "ytvis", back)
        assert [item["track_id"] for item in load(back)] == wanted


@pytest.mark.parametrize("form", ["coco", "ytvis"])
@given(named=st.lists(st.none() | st.integers(-6, 6), min_size=1, max_size=6), null=st.booleans())
def test_what_has_no_track_id_gets_one_that_no_other_has(
    form: Any, named: list[int | None], null: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No id, or null."""
    folder = tmp_path_factory.mktemp("ids")
    truth = folder / "truth.json"
    truth.write_text(json.dumps(document([len(named)])))
    mask = rle(rectangle(0, 0, 9, 9))
    items = []
    for frame, track in enumerate(named):
        item: dict[str, Any] = {"category_id": 1, "score": 0.5}
        if form == "coco":
            item |= {"image_id": frame + 1, "segmentation": mask}
        else:
            masks = [mask if place == frame else None for place in range(len(named))]
            item |= {"video_id": 1, "segmentations": masks}
        items.append(item | ({} if track is None and not null else {"track_id": track}))
    (folder / "theirs.json").write_text(json.dumps(items))
    import_predictions(folder / "theirs.json", truth, form, folder / "o.jsonl")
    tracks = [item["track_id"] for item in load(folder / "o.jsonl")]
    pairs = list(zip(tracks, named, strict=True))
    assert all(track == name for track, name in pairs if name is not None)
    own = [track for track, name in pairs if name is None]
    assert len(set(own)) == len(own) and not set(own) & set(named)
