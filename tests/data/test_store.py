"""The store: what it finds is what the file says, and it is built again whenever it is not the
store of the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.conftest import Mini
from tests.data.stored import BOTH, EXPECTED, Json, builds, ids, image, item, small, write
from vatrack.common.errors import InputError
from vatrack.config.dataset import DatasetConfig
from vatrack.data import store
from vatrack.data.forms import FORMS
from vatrack.data.frames import AnnotationFile
from vatrack.data.store import Store, open_store, require_annotations
from vatrack.data.store_writer import store_path
from vatrack.sailvos.convert import convert_files


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


@pytest.mark.parametrize(
    ("here", "given", "folder"),
    [
        (".", "a/train/train/joint.json", "a"),
        (".", "a/valid/train/joint.json", "a"),
        ("a/train", "train/joint.json", "a"),  # --annotations .
        (".", "a/train/joint.json.gz", None),
        (".", "a/other/joint.json", None),  # a/joint.json says nothing
        ("a", "gone.json", None),
        ("/", "gone.json", None),
    ],
)
def test_the_folder_of_a_subset_is_told_from_one_without_annotations(
    here: str, given: str, folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train/joint.json", "valid/joint.json", "joint.json"):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "a" / name).touch()
    monkeypatch.chdir(tmp_path / here)
    told = "create it with `vatrack convert`"
    if folder:
        told = f"give the folder with train/ and valid/: {tmp_path / folder}"
    with pytest.raises(InputError) as caught:
        require_annotations(Path(given))
    assert str(caught.value).startswith(f"{given}: no such file; {told}")


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


def test_clips_around_frames(tmp_path: Path) -> None:
    file = AnnotationFile(write(tmp_path / "a.json"), BOTH)
    assert [file.clip_around(number) for number in range(5)] == [(0, 3)] * 3 + [(3, 5)] * 2
    assert file.clip_names == {4: "clip4", 2: "clip2", 5: "empty"}
    assert [len(clip) for clip in file.clips] == [3, 2]  # a shard begins with a frame
    assert file.frame(3).file_name == "clip2/images/000000.bmp"
    assert file.counts.tolist() == [2, 0, 1, 2, 0]
