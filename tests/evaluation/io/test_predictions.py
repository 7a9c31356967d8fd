import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import detection, document, random_scene, rectangle
from vatrack.common import json_stream
from vatrack.common.errors import InputError
from vatrack.evaluation.io.ground_truth import read_images
from vatrack.evaluation.io.prediction_file import PredictionLines
from vatrack.evaluation.io.predictions import parse_predictions, read_predictions

TRUTH = document([2, 1])
IMAGES = read_images(TRUTH, "test")
BOX = rectangle(5, 5, 20, 30)


def good(**changes: Any) -> dict[str, Any]:
    return detection(1, 3, 0.5, 0, BOX, BOX) | changes


def write(path: Path, records: list[Any], form: str) -> Path:
    lines = [json.dumps(record) for record in records]
    texts = {
        "lines": "\n".join(lines) + "\n",
        "no newline at the end": "\n".join(lines),
        "blank lines": "\n  \n" + "\n\n".join(lines) + "\n\n",
        "array": json.dumps(records),
        "pretty array": "\n " + json.dumps(records, indent=2) + "\n",
    }
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(texts[form].encode()))
    else:
        path.write_text(texts[form])
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.json", "p.json.gz"])
@pytest.mark.parametrize(
    "form", ["lines", "no newline at the end", "blank lines", "array", "pretty array"]
)
def test_all_forms_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 50)  # items do not fit into a block
    joint, records = random_scene(3)
    images = read_images(joint, "test")
    found = read_predictions(write(tmp_path / name, records, form), images, joint, "test")
    direct = parse_predictions(enumerate(records, 1), images)
    assert len(found.image) == len(records) > 20
    assert images.id[found.image].tolist() == [record["image_id"] for record in records]
    assert found.score.tolist() == [record["score"] for record in records]
    assert found.counts == direct.counts
    for mask_type in ("amodal", "visible"):
        np.testing.assert_array_equal(found.area[mask_type], direct.area[mask_type])
        np.testing.assert_array_equal(found.box[mask_type], direct.box[mask_type])


@pytest.mark.parametrize("text", ["", "\n", "\n \n", "[]", " [ ]\n"])
def test_an_empty_file_is_a_prediction_of_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    found = read_predictions(path, IMAGES, TRUTH, "test")
    assert len(found.image) == 0
    assert found.mask_types == ()


def test_kinds_are_those_that_occur() -> None:
    only_visible = good(amodal=None)
    assert parse_predictions([(1, only_visible)], IMAGES).mask_types == ("visible",)
    found = parse_predictions([(1, only_visible), (2, good(track_id=1))], IMAGES)
    assert found.mask_types == ("amodal", "visible")
    assert found.counts["amodal"][0] is None
    assert found.area["amodal"].tolist() == [0, 600]


def test_the_visible_box_is_the_second_one_where_there_is_one() -> None:
    records = [
        good(bbox=[0, 0, 10, 10]),
        good(track_id=1, bbox=[0, 0, 10, 10], bbox_visible=[0.0, 0, 4, 5]),
    ]
    found = parse_predictions(enumerate(records, 1), IMAGES)
    assert found.box["amodal"].tolist() == [[0, 0, 10, 10], [0, 0, 10, 10]]
    assert found.box["visible"].tolist() == [[0, 0, 10, 10], [0, 0, 4, 5]]
    assert found.box_area("visible").tolist() == [100, 20]


def test_a_track_may_change_its_class() -> None:
    found = parse_predictions([(1, good()), (2, good(image_id=2, category_id=4))], IMAGES)
    assert found.category.tolist() == [2, 3]  # indices of categories 3 and 4


MASK = good()["amodal"]
WRONG = {
    "image": (good(image_id=99), "unknown image_id 99"),
    "image type": (good(image_id="1"), "image_id is '1'; must be an integer"),
    "image bool": (good(image_id=True), "image_id is True; must be an integer"),
    "category 0": (good(category_id=0), "unknown category_id 0"),
    "category 25": (good(category_id=25), "unknown category_id 25"),
    "huge track": (
        good(track_id=2**70),
        r"track_id is 1\.18.*; must be an integer between -2\^63 and 2\^63",
    ),
    "track of 2^63": (
        good(track_id=2**63),
        rf"track_id is {2**63}; must be an integer between -2\^63 and 2\^63",
    ),
    "category object": (
        good(category_id={"id": 1}),
        r"category_id is \{'id': 1\}; must be an integer",
    ),
    "whole float": (good(category_id=3.0), r"category_id is 3\.0; must be an integer"),
    "no track": ({k: v for k, v in good().items() if k != "track_id"}, "has no 'track_id'"),
    "nan": (good(score=float("nan")), "score is nan; must be a finite number"),
    "infinite": (good(score=float("inf")), "score is inf; must be a finite number"),
    "score text": (good(score="0.5"), "score is '0.5'; must be a finite number"),
    "box": (good(bbox=[1, 2, 3]), "box .* is wrong; must be four finite numbers"),
    "box nan": (good(bbox=[1, 2, 3, float("nan")]), "box .* is wrong; must be four finite numbers"),
    "visible box": (good(bbox_visible="box"), "box .* is wrong; must be four finite numbers"),
    "no mask": (good(amodal=None, visible=None), "neither an 'amodal' nor a 'visible' mask"),
    "mask form": (good(amodal=[1, 2]), "the amodal mask is a list, but not of polygons"),
    "uncompressed": (
        good(visible={"size": MASK["size"], "counts": [1, 2]}),
        "the visible mask is damaged: its runs cover 3 pixels",
    ),
    "size": (
        good(amodal={"size": [3, 4], "counts": MASK["counts"]}),
        r"the amodal mask has size \[3, 4\], but its image",
    ),
    "size form": (
        good(amodal={"size": 3, "counts": MASK["counts"]}),
        "the amodal mask is not a mask; it must be a run-length code",
    ),
    "cut mask": (good(amodal=MASK | {"counts": MASK["counts"][:-1]}), "the amodal mask is damaged"),
    "not ascii": (
        good(amodal=MASK | {"counts": "ü"}),
        "the amodal mask has invalid counts",
    ),
    "null counts": (good(amodal=MASK | {"counts": None}), "the amodal mask has invalid counts"),
    "null visible counts": (
        good(visible=MASK | {"counts": None}),
        "the visible mask has invalid counts",
    ),
    "twice": (good(track_id=5), "track_id 5 occurs twice in image 1"),
    "number": (17, "is not a JSON object"),
    "negative width": (
        good(bbox=[9, 9, -5, 8]),
        r"the box \[9.* has a negative width",
    ),
    "polygon of two points": (good(amodal=[[1, 1, 5, 5]]), "the amodal mask has a polygon of 4"),
    "polygon far outside": (good(amodal=[[1, 1, 9e9, 5, 6, 6]]), "polygon far outside its image"),
    "run of text": (
        good(amodal={"size": MASK["size"], "counts": [1, "2"]}),
        "the amodal mask has run lengths that are not non-negative integers",
    ),
    "size of 64 million": (
        good(amodal=MASK | {"size": [64_000_000, 64_000_000]}),
        "the amodal mask (is not a mask|has size)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("form", ["lines", "array"])
def test_wrong_records_are_refused_with_their_number(tmp_path: Path, name: str, form: str) -> None:
    record, message = WRONG[name]
    path = write(
        tmp_path / "p.json", [good(track_id=4), good(track_id=5), record, good(track_id=6)], form
    )
    unit = "item" if form == "array" else "line"
    with pytest.raises(InputError, match=rf"p\.json: {unit} 3: .*{message}"):
        read_predictions(path, IMAGES, TRUTH, "test")


def test_half_a_last_line(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", [good(), good(track_id=1)], "lines")
    path.write_text(path.read_text()[:-40])
    with pytest.raises(
        InputError, match=r"p\.jsonl: line 2: not valid JSON .*, or the file is truncated here"
    ):
        read_predictions(path, IMAGES, TRUTH, "test")


def test_a_broken_line_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(good()) + "\n{oops}\n" + json.dumps(good(track_id=1)) + "\n")
    with pytest.raises(InputError, match="line 2: not valid JSON"):
        read_predictions(path, IMAGES, TRUTH, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "item 1: "),
        ('[{"a": 1} {"a": 2}]', "item 1: has no"),
        ("[%s, ]", "item 2: not valid JSON"),
        ("[%s %s]", "item 2: not valid JSON"),
        ("[, %s]", "item 1: not valid JSON"),
        ("[%s", "item 2: not valid JSON, or truncated"),
        ("[%s] {}", "text after the end"),
    ],
)
def test_broken_arrays(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text.replace("%s", json.dumps(good())))
    with pytest.raises(InputError, match=message):
        read_predictions(path, IMAGES, TRUTH, "test")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    whole = write(
        tmp_path / "p.jsonl.gz", [good(track_id=track) for track in range(50)], "lines"
    ).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    for content in (whole[:-20], whole[: len(whole) // 2], bytes(damaged), b"plain text"):
        (tmp_path / "p.jsonl.gz").write_bytes(content)
        with pytest.raises(InputError, match=r"p\.jsonl\.gz: "):
            read_predictions(tmp_path / "p.jsonl.gz", IMAGES, TRUTH, "test")
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "none.jsonl", IMAGES, TRUTH, "test")
    with pytest.raises(InputError, match="is a folder"):
        read_predictions(tmp_path, IMAGES, TRUTH, "test")
    (tmp_path / "latin.jsonl").write_bytes(b'{"image_id": "\xff"}\n')
    with pytest.raises(InputError, match=r"line 1: not valid JSON \(not UTF-8 text\)"):
        read_predictions(tmp_path / "latin.jsonl", IMAGES, TRUTH, "test")


def _outcome(predictions: Any) -> Any:
    try:
        found = parse_predictions(predictions, IMAGES, "p: line")
    except InputError as error:
        return str(error)
    columns = [found.image, found.category, found.score, found.track]
    columns += [*found.box.values(), *found.area.values()]
    return [column.tolist() for column in columns], dict(found.counts)


def _changed(line: bytes, generator: np.random.Generator) -> bytes:
    """A line with a change at random: spaces, escapes, keys twice, damage, unusual values."""
    replacements = [
        (b":", b" : "),
        (b"score", b"\\u0073core"),
        (b'"track_id"', b'"track_id":7,"track_id"'),
        (b'"track_id"', b'"track_id" :7,"track_id"'),
        (b'"size"', b'"size":[1,1],"size"'),
        (b'"category_id"', b'"more":{"a":{"b":[1]}},"category_id"'),
        (b'"category_id"', b'"more":"{\\"}","category_id"'),
        (b'"category_id"', b'"more":' + b"[" * 101 + b"]" * 101 + b',"category_id"'),
        (b'"bbox":[', b'"bbox":[' + b"[" * 101 + b"]" * 101 + b","),
        (b'"score":0.5', b'"score":NaN'),
        (b'"score":0.5', b'"score":' + b"9" * 5001),
        (b'"score":0.5', b'"score":' + b"9" * 20),
        (b'"image_id":1', b'"image_id":"1"'),
        (b'"image_id":1', b'"image_id":18446744073709551616'),
        (b'"amodal":{', b'"amodal":null,"again":{'),
        (b'"counts":"', b'"counts":"\\ud800'),
        (b'"counts":"', b'"counts":"\xff'),
        (b'"counts":"', b'"counts":"!'),
        (b"}", b""),
        (b"}}", b"}}, {}"),
        (
            b"{",
            b"[",
        ),
    ]
    if generator.random() < 0.3:
        place = int(generator.integers(len(line)))
        return line[:place] + bytes([int(generator.integers(32, 127))]) + line[place + 1 :]
    old, new = replacements[int(generator.integers(len(replacements)))]
    return line.replace(old, new, 1)


@pytest.mark.parametrize("seed", range(120))
def test_lines_that_are_read_together_are_read_as_one_by_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lines = []
    for number in range(5):
        line = json.dumps(good(track_id=number), separators=(",", ":")).encode() + b"\n"
        if generator.random() < 0.3:
            line = _changed(line, generator)
        lines.append(line)

    def read() -> PredictionLines:
        return PredictionLines(range(1, 6), lines, "p: line")

    assert _outcome(read()) == _outcome(iter(read()))


def test_sound_lines_are_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps(good(track_id=number)).encode() for number in range(3)]
    expected = _outcome(iter(PredictionLines(range(3), lines, "line")))
    monkeypatch.setattr("vatrack.evaluation.io.prediction_file.parse_line", None)
    assert _outcome(PredictionLines(range(3), lines, "line")) == expected
