"""The store: what it finds is what the file says, and it is built again whenever it is not the
store of the file."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.conftest import Mini
from tests.sailvos.official import mask
from vatrack.common import json_stream
from vatrack.common.errors import InputError
from vatrack.common.files import create_text
from vatrack.common.json_lists import Item, read_lists
from vatrack.common.mask_types import MaskType
from vatrack.common.parallel import ordered_map
from vatrack.common.value_files import read_json
from vatrack.config.dataset import DatasetConfig
from vatrack.data import store
from vatrack.data.fields import is_safe_path
from vatrack.data.forms import FORMS
from vatrack.data.frames import AnnotationFile
from vatrack.data.store import Store, open_store
from vatrack.data.store_writer import store_path
from vatrack.sailvos.convert import convert_files

Json = dict[str, Any]
BOTH: tuple[MaskType, ...] = ("amodal", "visible")


def image(number: int, video: int, frame: int) -> Json:
    name = f"clip{video}/images/{frame:06d}.bmp"
    size = {"width": 12, "height": 8}
    return {"id": number, "video_id": video, "frame_id": frame, "file_name": name, **size}


def item(number: int, image_id: int, instance: int = 1, **changes: Any) -> Json:
    base: Json = {"id": number, "image_id": image_id, "category_id": 3, "instance_id": instance}
    masks = [mask(3 * number), mask(3 * number + 1)]
    shape = {"bbox": [1.0, 1.0, 5.0, 4.0], "segmentation": masks, "area_visible": 4}
    return base | {"iscrowd": 0} | shape | changes


def small() -> Json:
    """Two clips; frames, clips and annotations out of order; a frame without annotations; ids with
    gaps."""
    items = [(5, 30), (2, 10), (9, 99), (7, 30, 2), (1, 12), (3, 10, 2)]
    images = [(12, 4, 7), (11, 4, 2), (30, 2, 0), (10, 4, 0), (31, 2, 1)]
    videos = {4: "clip4", 2: "clip2", 5: "empty"}
    return {
        "info": {"year": 2021},
        "annotations": [item(*values) for values in items],
        "images": [image(*values) for values in images],
        "videos": [{"id": number, "name": name} for number, name in videos.items()],
    }


def write(path: Path, data: Json | None = None) -> Path:
    with create_text(path) as stream:  # also where a test says that nothing can be written
        json.dump(small() if data is None else data, stream)
    return path


@contextmanager
def builds() -> Iterator[list[Path]]:
    """The stores that are built meanwhile."""
    found: list[Path] = []
    real = store._build

    def build(source: Path, target: Path) -> None:
        found.append(target)
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_build", build)
        yield found


def ids(found: Store) -> dict[int, list[int]]:
    """Image id to the ids of its annotations."""
    return {
        image_id: [value["id"] for value in found.annotations(number)]
        for number, image_id in enumerate(found.frames["image_id"].tolist())
    }


EXPECTED = {10: [2, 3], 11: [], 12: [1], 30: [5, 7], 31: []}


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_frames_are_in_clip_order_with_their_annotations_in_file_order(
    tmp_path: Path, name: str
) -> None:
    found = open_store(write(tmp_path / name))
    assert ids(found) == EXPECTED
    assert list(ids(found)) == [10, 11, 12, 30, 31]
    assert found.clips == [(4, "clip4"), (2, "clip2"), (5, "empty")]
    assert found.bounds.tolist() == [0, 3, 5, 5]
    assert found.frames["frame_id"].tolist() == [0, 2, 7, 0, 1]
    assert found.frames["video_id"].tolist() == [4, 4, 4, 2, 2]
    assert found.frames["file_name"].tolist()[3] == b"clip2/images/000000.bmp"
    assert set(found.frames["width"]) == {12} and set(found.frames["height"]) == {8}
    # The annotation of an unknown image has no place.
    assert len(found.spans) == 5


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("videos", [[], [{"id": 1, "name": "a"}]])
@pytest.mark.parametrize(
    ("images", "annotations"), [([], []), ([], [item(1, 1)]), ([image(1, 1, 0)], [])]
)
def test_empty_lists(
    tmp_path: Path, name: str, videos: list[Json], images: list[Json], annotations: list[Json]
) -> None:
    path = write(tmp_path / name, {"videos": videos, "images": images, "annotations": annotations})
    frames = len(images)
    if images and not videos:
        with pytest.raises(InputError, match=r"image 1: its video 1 is not in the list of videos"):
            AnnotationFile(path)
        return
    for expected in (1, 0):
        with builds() as built:
            file = AnnotationFile(path)
        assert len(built) == expected
        assert len(file) == frames
        assert file.sizes.shape == (frames, 2)
        assert file.counts.tolist() == [0] * frames
        assert file.bounds.tolist() == [0, frames][: 1 + len(videos)]
        for number in range(frames):
            objects = file.objects(number)
            assert len(objects.labels) == 0
            assert objects.masks("visible", 8, 12).shape == (0, 8, 12)
            assert objects.boxes["amodal"].shape == (0, 4)


def test_it_is_built_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json")
    with builds() as built:
        first, second = open_store(path), open_store(path)
    assert built == [store_path(path)] == [tmp_path / "a.json.store"]
    assert ids(first) == ids(second) == EXPECTED
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "a.json.store"]


def test_the_conversion_and_the_file_make_the_same_store(mini: Mini, tmp_path: Path) -> None:
    convert_files(mini.official("train"), mini.structure, DatasetConfig(), tmp_path)
    for form in FORMS:
        path = tmp_path / f"{form}.json"
        with builds() as built:
            open_store(path)
        assert built == []
        written = store_path(path).read_bytes()
        store_path(path).unlink()
        open_store(path)
        assert store_path(path).read_bytes() == written


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_it_is_built_again_when_its_source_has_changed(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    open_store(path)
    before = path.stat()
    # Another size.
    data = small()
    data["annotations"].append(item(44, 31))
    write(path, data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size != before.st_size
    with builds() as built:
        assert ids(open_store(path)) == {**EXPECTED, 31: [44]}
    assert len(built) == 1
    # Another time, by a nanosecond (the same content is read again then).
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with builds() as built:
        assert ids(open_store(path)) == {**EXPECTED, 31: [44]}
        open_store(path)
    assert len(built) == 1
    # An older file of the same length, put there with its own time.
    if name == "a.json":
        path.write_text(path.read_text().replace('"id": 44', '"id": 45'))
        os.utime(path, ns=(0, 0))
        with builds() as built:
            assert ids(open_store(path)) == {**EXPECTED, 31: [45]}
        assert len(built) == 1


def test_a_copy_with_its_times_needs_no_building(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = write(tmp_path / "there" / "a.json")
    open_store(path)
    shutil.copytree(tmp_path / "there", tmp_path / "here")
    with builds() as built:
        assert ids(open_store(tmp_path / "here" / "a.json")) == EXPECTED
    assert built == []


def damaged_stores(whole: bytes) -> Iterator[bytes]:
    yield from (whole[:size] for size in (0, 1, 8, 9, 100, len(whole) // 2, len(whole) - 1))
    yield whole + b"\n"
    yield whole[8:]
    yield (2**62).to_bytes(8, "little") + whole[8:]
    yield whole.replace(b"vatrack-store-3", b"vatrack-store-4")
    for about in ({}, {"store": "5"}, {"store": "{}"}, {"store": "[]"}, {"store": "\0"}, None):
        yield save({"bounds": np.zeros(1, np.int64)}, about)
    yield b"vatrack-store-1\n{}" + (2).to_bytes(8, "little")  # the form before safetensors
    yield bytes(len(whole))
    yield np.random.default_rng(0).bytes(3000)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_it_is_rebuilt_where_it_is_damaged(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    open_store(path)
    whole = store_path(path).read_bytes()
    for content in damaged_stores(whole):
        store_path(path).write_bytes(content)
        with builds() as built:
            assert ids(open_store(path)) == EXPECTED
        assert len(built) == 1, content
        assert store_path(path).read_bytes() == whole


def test_no_changed_bit_is_taken_for_the_truth(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json")
    open_store(path)
    whole = store_path(path).read_bytes()
    damaged = tmp_path / "damaged"
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        damaged.write_bytes(content)
        with pytest.raises(store._Damaged):
            Store(damaged, path)
    # All of that is what `open_store` rebuilds from.
    store_path(path).write_bytes(content)
    assert ids(open_store(path)) == EXPECTED
    assert store_path(path).read_bytes() == whole


def test_no_changed_bit_in_the_texts_of_a_packed_file_is_taken_for_the_truth(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.json.gz")
    found = open_store(path)
    whole = found.texts.read_bytes()
    number = int(np.flatnonzero(found.frames["image_id"] == 10)[0])
    start, length = found.spans[int(found.frames[number]["first"])].tolist()
    for position in range(start, start + length):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        found.texts.write_bytes(content)
        with pytest.raises(InputError, match=rf"texts: damaged at byte {start}; delete it"):
            open_store(path).annotations(number)
    found.texts.unlink()
    assert [value["id"] for value in open_store(path).annotations(number)] == EXPECTED[10]


def test_a_store_of_another_file_is_not_taken(tmp_path: Path) -> None:
    path, other = write(tmp_path / "a.json"), tmp_path / "b.json"
    data = small()
    data["annotations"].reverse()
    write(other, data)
    open_store(path)
    shutil.copy2(store_path(path), store_path(other))
    assert path.stat().st_size == other.stat().st_size
    assert ids(open_store(other)) == {number: found[::-1] for number, found in EXPECTED.items()}


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json")
    store_path(path).mkdir()
    with pytest.raises(InputError, match=r"a\.json\.store: is a folder, not a file"):
        open_store(path)


def test_the_texts_of_a_packed_file_are_kept_beside_the_store(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json.gz")
    found = open_store(path)
    assert found.texts == tmp_path / "a.json.gz.store.texts"
    expected = {entry["id"]: entry for entry in small()["annotations"]}
    texts = found.texts.read_bytes()
    for offset, length in found.spans.tolist():
        value = json.loads(texts[offset : offset + length])
        assert value == expected[value["id"]]
    found.texts.unlink()
    with builds() as built:
        assert ids(open_store(path)) == EXPECTED
    assert len(built) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "a.json.gz",
        "a.json.gz.store",
        "a.json.gz.store.texts",
    ]


def refuse_writing(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda place, mode: Path(place) not in folders and real(place, mode)
    )


@pytest.mark.parametrize("home", ["/proc", "locked"])
def test_neither_the_folder_nor_home_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    path = write(tmp_path / "a.json")
    locked = tmp_path / "locked" / ".cache" / "vatrack"
    refuse_writing(monkeypatch, tmp_path, locked)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / home))  # an absolute one stays as it is
    with builds() as built:
        assert ids(open_store(path)) == ids(open_store(path)) == EXPECTED
    assert [place.parent for place in built] == [
        tmp_path / "temporary" / f"cache-{os.getuid()}" / "vatrack"
    ]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "data").mkdir()
    path = write(tmp_path / "data" / name)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    refuse_writing(monkeypatch, path.parent, tmp_path / "other")
    with builds() as built:
        assert ids(open_store(path)) == EXPECTED
        assert ids(open_store(path)) == EXPECTED
    assert len(built) == 1
    assert built[0].parent == cache / "vatrack"
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    # Files of the same name in other folders have other stores.
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other" / name, {**small(), "annotations": []})
    assert ids(open_store(other)) == {number: [] for number in EXPECTED}
    assert ids(open_store(path)) == EXPECTED
    assert len(list((cache / "vatrack").glob("*.store"))) == 2
    # The source changes: the cached store is built again, not believed.
    write(path, {**small(), "annotations": [item(8, 11)]})
    assert ids(open_store(path))[11] == [8]
    assert ids(open_store(other)) == {number: [] for number in EXPECTED}
    # Without the variable the cache is in the home folder.
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    open_store(path)
    assert len(list((tmp_path / "home" / ".cache" / "vatrack").glob(f"{name}.*.store"))) == 1


def test_a_damaged_store_in_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.json")
    store_path(path).write_bytes(b"old")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refuse_writing(monkeypatch, tmp_path)
    assert ids(open_store(path)) == ids(open_store(path)) == EXPECTED
    assert store_path(path).read_bytes() == b"old"


def test_no_process_ever_sees_a_store_that_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finds no store, builds one and reads it while this one is still at it."""
    path = write(tmp_path / "a.json")
    real_read, real_replace = read_lists, os.replace
    opened: list[Store] = []

    def read(*arguments: Any, **options: Any) -> Iterator[Item]:
        yield from real_read(*arguments, **options)
        if not opened:
            monkeypatch.setattr(store, "read_lists", real_read)
            opened.append(open_store(path))

    def replace(source: Path, target: Path) -> None:
        real_replace(source, target)
        if Path(target) == store_path(path):
            assert ids(Store(store_path(path), path)) == EXPECTED

    monkeypatch.setattr(store, "read_lists", read)
    monkeypatch.setattr(os, "replace", replace)
    with builds() as built:
        assert ids(open_store(path)) == EXPECTED
    assert len(built) == 2
    assert ids(opened[0]) == EXPECTED


def read_all(path: Path, form: tuple[MaskType, ...]) -> list[list[int]]:
    file = AnnotationFile(path, form)
    return [file.objects(number).instances.tolist() for number in range(len(file))]


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_processes_that_build_at_the_same_time(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    results = list(ordered_map(read_all, [path] * 12, 4, BOTH))
    assert results == [[[1, 2], [], [1], [1, 2], []]] * 12


def test_a_source_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.json")
    real = read_lists

    def read(*arguments: Any, **options: Any) -> Iterator[Item]:
        yield from real(*arguments, **options)
        write(path, {**small(), "annotations": [item(8, 11)]})

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_lists", read)
        with pytest.raises(
            InputError, match=r"a\.json: changed while it was being read; run again"
        ):
            open_store(path)
    assert ids(open_store(path))[11] == [8]


def count_all(number: int, file: AnnotationFile) -> tuple[int, list[int]]:
    return os.getpid(), file.objects(number).labels.tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_another_process_gets_the_place_and_not_the_content(tmp_path: Path, name: str) -> None:
    file = AnnotationFile(write(tmp_path / name), BOTH)
    packed = pickle.dumps(file)
    assert len(packed) < 500
    again = pickle.loads(packed)
    assert again.mask_types == BOTH
    assert [again.frame(number) for number in range(5)] == [
        file.frame(number) for number in range(5)
    ]
    results = list(ordered_map(count_all, range(5), 2, file))
    assert [labels for _, labels in results] == [[2, 2], [], [2], [2, 2], []]
    assert os.getpid() not in {process for process, _ in results}


GONE = object()
LACKS = r"not an annotation file of `vatrack convert` \('{}' is missing\)"


def spoil(values: Json, key: str, value: object) -> None:
    """Changes a value, or takes it away."""
    values[key] = value
    if value is GONE:
        del values[key]


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("", "videos", GONE, "list `videos` is missing"),
        ("", "annotations", {}, "list `annotations` is missing or is not a list"),
        ("", "annotations", [item(5, 30), 3], "its list `annotations` is not a list of objects"),
        ("videos", "name", GONE, LACKS.format("name")),
        ("images", "video_id", GONE, "image 12: video_id is missing; add it"),
        ("images", "video_id", 77, "image 12: its video 77 is not in the list of videos; add it"),
        ("images", "frame_id", 2, "image 11: has the frame_id 2 of image 12 of the same video"),
        ("annotations", "image_id", GONE, LACKS.format("image_id")),
        ("images", "id", "x", "image 'x': id is 'x'; must be an integer"),
        ("images", "frame_id", 1.5, "frame_id is 1.5; must be an integer"),
        ("images", "frame_id", None, "frame_id is None; must be an integer"),
        ("images", "width", 2**70, r"width is 1\.18.*; must be an integer from 1"),
        ("images", "height", [3], r"height is \[3\]; must be an integer"),
        ("images", "video_id", [1], r"video_id is \[1\]; must be an integer"),
        ("annotations", "image_id", "10", "image_id is '10'; must be an integer"),
        ("annotations", "image_id", 10.5, "image_id is 10.5; must be an integer"),
        ("annotations", "image_id", 2**70, r"image_id is 1\.18.*; must be an integer"),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_other_files(
    tmp_path: Path, name: str, section: str, key: str, value: object, message: str
) -> None:
    data = small()
    spoil(data[section][0] if section else data, key, value)
    path = write(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        open_store(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_no_file(tmp_path: Path) -> None:
    for path, message in (
        (
            tmp_path / "none.json",
            "no such file; create it with `vatrack convert`",
        ),
        (tmp_path, "is a folder; give an annotation file"),
    ):
        with pytest.raises(InputError, match=message):
            open_store(path)
    path = write(tmp_path / "a.json")
    whole = path.read_bytes()
    for size in range(0, len(whole), 50):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.json: (not valid JSON|is empty)"):
            open_store(path)
    # The file that was there before is gone, its store is not believed.
    path.write_bytes(whole)
    open_store(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        open_store(path)


@pytest.mark.parametrize(
    ("mask_types", "changes"),
    [
        (("amodal",), {}),  # a joint form read as a single one
        (BOTH, {"segmentation": mask(1)}),  # and the reverse
        (BOTH, {"bbox": [[1, 1, 2, 2]] * 3}),
    ],
)
def test_annotations_of_another_form(
    tmp_path: Path, mask_types: tuple[MaskType, ...], changes: Json
) -> None:
    file = AnnotationFile(
        write(tmp_path / "a.json", {**small(), "annotations": [item(1, 10, **changes)]}), mask_types
    )
    with pytest.raises(InputError, match=r"a\.json: frame 10: not annotations in this form"):
        file.objects(0)
    file.objects(1)


HUGE = {"size": [64_000_000, 64_000_000], "counts": "P" * 5}
WHOLE = mask(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 1, 2]}, r"bbox is \[1, 1, 2\]; must be four numbers"),
        ({"bbox": None}, "bbox is None; must be four numbers"),
        ({"bbox": ["a", 1, 2, 2]}, "bbox is .*; must be four numbers"),
        ({"bbox": [1, 1, -2, 2]}, "bbox is .* with non-negative width"),
        ({"category_id": "3"}, "category_id is '3'; must be an integer"),
        ({"category_id": {"id": 3}}, "category_id is .*; must be an integer"),
        ({"category_id": 3.0}, "category_id is 3.0; must be an integer"),
        ({"area_visible": "3"}, "area_visible is '3'; must be a number from 0"),
        ({"area_visible": -1}, "area_visible is -1; must be a number from 0"),
        ({"instance_id": "one"}, "instance_id is 'one'; must be an integer"),
        ({"instance_id": None}, "instance_id is None; must be an integer"),
        ({"iscrowd": "0"}, "iscrowd is '0'; must be 0 or 1"),
        ({"occlude_rate": -0.02}, "occlude_rate is -0.02; must be a number from 0 to 1"),
        ({"segmentation": [HUGE, WHOLE]}, "segmentation is not a mask"),
        ({"segmentation": [{**WHOLE, "size": [9, 12]}, WHOLE]}, r"segmentation has size \[9, 12\]"),
        (
            {"segmentation": [{**WHOLE, "counts": WHOLE["counts"][:-2]}, WHOLE]},
            "segmentation is damaged: its runs .* do not fill the image, 12 x 8",
        ),
    ],
)
@pytest.mark.parametrize("first", ["images", "annotations"])
def test_no_wrong_field_and_no_damaged_mask_reaches_the_training(
    tmp_path: Path, changes: Json, message: str, first: str
) -> None:
    data = {**small(), "annotations": [item(1, 10, **changes)]}
    path = write(tmp_path / "a.json", {first: data[first], **data})
    with pytest.raises(InputError, match=rf"a\.json: .*annotation 1: {message}"):
        AnnotationFile(path, BOTH).objects(0)
    assert not store_path(path).exists()


def test_a_mask_that_is_damaged_after_the_store_was_built(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {**small(), "annotations": [item(1, 10)]})
    open_store(path)
    before, text = path.stat(), path.read_bytes()
    counts = item(1, 10)["segmentation"][0]["counts"].encode()
    path.write_bytes(text.replace(b'"' + counts + b'"', b'"' + counts[:-2] + b'"  ', 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="annotation 1: segmentation is damaged"):
        AnnotationFile(path, BOTH).objects(0)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "a/../../x.png", "", 5, "a//b"])
def test_no_frame_outside_the_folder(tmp_path: Path, name: object) -> None:
    data = small()
    data["images"][0]["file_name"] = name
    with pytest.raises(InputError, match=r"a\.json: image 12: file_name is .*relative path"):
        open_store(write(tmp_path / "a.json", data))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        *(
            (key, GONE, LACKS.format(key))
            for key in ("bbox", "segmentation", "area_visible", "category_id", "instance_id")
        ),
        ("category_id", 25, "annotation 1 has category 25; use one of 1 to 24"),
    ],
)
def test_annotations_that_lack_something(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    spoiled = item(1, 10)
    spoil(spoiled, key, value)
    file = AnnotationFile(write(tmp_path / "a.json", {**small(), "annotations": [spoiled]}), BOTH)
    with pytest.raises(InputError, match=rf"a\.json: {message}"):
        file.objects(0)


def test_clips_around_frames(tmp_path: Path) -> None:
    file = AnnotationFile(write(tmp_path / "a.json"), BOTH)
    assert [file.clip_around(number) for number in range(5)] == [(0, 3)] * 3 + [(3, 5)] * 2
    assert file.clip_names == {4: "clip4", 2: "clip2", 5: "empty"}
    assert [len(clip) for clip in file.clips] == [3, 2]  # a shard begins with a frame
    assert file.frame(3).file_name == "clip2/images/000000.bmp"
    assert file.counts.tolist() == [2, 0, 1, 2, 0]


NUMBERS = st.integers(-(2**40), 2**40) | st.integers(0, 9)
SIDES = st.sampled_from([-3.0, 0.0, 0.5, 0.9375, 1.0, 2.5, 7.0, 11.0, 30.0])
LENGTHS = SIDES.filter(lambda side: side >= 0)
BOXES = st.tuples(SIDES, SIDES, LENGTHS, LENGTHS).map(list)
NAMES = st.text(min_size=1, max_size=5).filter(is_safe_path)


@st.composite
def annotation_files(draw: st.DrawFn) -> tuple[tuple[MaskType, ...], Json]:
    """A file of one of the forms, and its mask types."""
    form = draw(st.sampled_from(["single", "joint", "joint-2bbox"]))
    known = draw(st.lists(NUMBERS, unique=True, max_size=3))
    videos = [{"id": number, "name": f"é{number}"} for number in known]
    images = []
    places = [(video, position) for video in known for position in range(-2, 9)]
    chosen = draw(st.lists(st.sampled_from(places), unique=True, max_size=8)) if known else []
    size = len(chosen)
    numbers = draw(st.lists(NUMBERS, unique=True, min_size=size, max_size=size))
    for number, (video, position) in zip(numbers, chosen, strict=True):
        entry = image(number, video, position)
        images.append(entry | {"width": draw(st.integers(1, 14)), "file_name": draw(NAMES)})
    annotations = []
    image_ids = [entry["id"] for entry in images] + [2**50]
    for number in range(draw(st.integers(0, 12))):
        entry = item(
            number,
            draw(st.sampled_from(image_ids)),
            draw(NUMBERS),
            category_id=draw(st.integers(1, 24)),
        )
        width = next((i["width"] for i in images if i["id"] == entry["image_id"]), 12)
        amodal, visible = mask(2 * number, width), mask(2 * number + 1, width)
        entry["bbox"] = [draw(BOXES), draw(BOXES)] if form == "joint-2bbox" else draw(BOXES)
        entry["segmentation"] = amodal if form == "single" else [amodal, visible]
        entry["area_visible"] = draw(st.integers(0, 2))
        if form == "single":
            entry["area"] = draw(st.sampled_from([0, 0.5, 3]))
        entry["iscrowd"] = draw(st.sampled_from([0, 0, 0, 1]))
        if draw(st.booleans()):
            entry["ignore"] = draw(st.sampled_from([0, False, True]))
        annotations.append(entry)
    sections = {"videos": videos, "images": images, "annotations": annotations}
    others: Json = {"licenses": [{"id": 1}], "version": 1.5}
    order = draw(st.permutations(list((sections | others).items())))
    return BOTH if form != "single" else ("visible",), dict(order)


def plain_objects(frame: Json, data: Json, mask_types: tuple[MaskType, ...]) -> Json:
    """Spec 2.3: the usable annotations of a frame."""
    found: Json = {
        "boxes": {mask_type: [] for mask_type in mask_types},
        "rles": {mask_type: [] for mask_type in mask_types},
        "labels": [],
        "instances": [],
    }
    two_boxes = False
    for entry in data["annotations"]:
        if entry["image_id"] != frame["id"] or entry.get("ignore") or entry["iscrowd"]:
            continue
        if entry.get("area", entry["area_visible"]) <= 0:
            continue
        two_boxes = isinstance(entry["bbox"][0], list)
        boxes = entry["bbox"] if two_boxes else [entry["bbox"]]
        if not all(
            min(x + width, frame["width"]) > max(x, 0)
            and min(y + height, frame["height"]) > max(y, 0)
            and min(width, height) >= 1
            for x, y, width, height in boxes
        ):
            continue
        for mask_type, (x, y, width, height) in zip(mask_types, boxes, strict=False):
            found["boxes"][mask_type].append([x, y, x + width, y + height])
        masks = entry["segmentation"] if len(mask_types) == 2 else [entry["segmentation"]]
        for mask_type, rle in zip(mask_types, masks, strict=True):
            found["rles"][mask_type].append(rle)
        found["labels"].append(entry["category_id"] - 1)
        found["instances"].append(entry["instance_id"])
    if found["labels"] and not two_boxes:
        found["boxes"] = {mask_types[0]: found["boxes"][mask_types[0]]}
    return found


@settings(max_examples=200)
@given(drawn=annotation_files(), block=st.sampled_from([1, 13, 1 << 22]), packed=st.booleans())
def test_objects_are_those_of_the_file(
    tmp_path: Path, drawn: tuple[tuple[MaskType, ...], Json], block: int, packed: bool
) -> None:
    mask_types, data = drawn
    path = tmp_path / ("a.json.gz" if packed else "a.json")
    text = json.dumps(data, ensure_ascii=packed).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    # Examples follow each other within the resolution of the clock.
    store_path(path).unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "BLOCK", block)
        file = AnnotationFile(path, mask_types)
    by_frame = sorted(data["images"], key=lambda entry: entry["frame_id"])
    frames = [
        entry for video in data["videos"] for entry in by_frame if entry["video_id"] == video["id"]
    ]
    assert len(file) == len(frames)
    for number, expected in enumerate(frames):
        frame, objects = file.frame(number), file.objects(number)
        assert {**asdict(frame), "id": frame.image_id} == {**expected, "image_id": frame.image_id}
        plain = plain_objects(expected, data, mask_types)
        found = {mask_type: boxes.tolist() for mask_type, boxes in objects.boxes.items()}
        assert found == plain["boxes"]
        for boxes in objects.boxes.values():
            assert boxes.shape[1:] == (4,) and boxes.dtype == np.float32
        texts = {
            mask_type: [code | {"counts": code["counts"].decode()} for code in codes]
            for mask_type, codes in objects.rles.items()
        }
        assert texts == plain["rles"]
        assert objects.labels.tolist() == plain["labels"]
        assert objects.instances.tolist() == plain["instances"]
        belonging = [entry for entry in data["annotations"] if entry["image_id"] == frame.image_id]
        assert file.counts[number] == len(belonging)
    assert read_json(path) == data
