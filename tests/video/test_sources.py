"""What users name as videos."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.video.sources import find_sources


def frames(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        assert cv2.imwrite(str(folder / name), np.zeros((4, 6, 3), np.uint8))
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [f"shot_{number}.png" for number in range(1, 13)]
    folder = frames(tmp_path / "f", *reversed(names))
    for clutter in (".DS_Store", "._shot_1.png", "notes.txt"):
        (folder / clutter).write_bytes(b"x")
    (source,) = find_sources([str(folder)])
    assert (source.name, source.form) == ("f", "frames")
    assert [file.name for file in source.files] == names
    (by_pattern,) = find_sources([f"{folder}/shot_*.png"])
    assert by_pattern.files == source.files
    assert by_pattern.name == "f"


@pytest.mark.parametrize("word", ["street/frames", "street/frames/*.png"])
def test_frames_are_named_after_their_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    frames(tmp_path / "street/frames", "1.png", "2.png")
    monkeypatch.chdir(tmp_path)
    (source,) = find_sources([word])
    assert source.name == "street"


def test_a_list_keeps_its_order_and_is_relative_to_itself(tmp_path: Path) -> None:
    frames(tmp_path / "x", "a.png", "b.jpg")
    listed = tmp_path / "order.txt"
    listed.write_text("# mine\nx/b.jpg\n\nx/a.png\n")
    (source,) = find_sources([str(listed)])
    assert [file.name for file in source.files] == ["b.jpg", "a.png"]


def test_a_list_of_folders_of_frames_is_as_many_videos(tmp_path: Path) -> None:
    for folder in ("x", "y/images"):
        frames(tmp_path / folder, "2.png", "1.png")
    listed = tmp_path / "folders.txt"
    listed.write_text("y/images\nx\n")
    found = find_sources([str(listed)])
    assert [source.name for source in found] == ["y", "x"]
    assert [[file.name for file in source.files] for source in found] == [["1.png", "2.png"]] * 2


def test_neither_a_config_nor_a_folder_among_frames_matters(tmp_path: Path) -> None:
    frames(tmp_path / "x", "1.png")
    (tmp_path / "x/config.yaml").touch()
    for name in ("2.png", "from.tif"):
        (tmp_path / "x" / name).mkdir()
    assert len(find_sources([str(tmp_path / "x")])[0].files) == 1


def test_videos_are_one_each_with_names_of_their_own(tmp_path: Path) -> None:
    for name in ("a/v.mp4", "b/v.mp4", "b/V.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_sources([str(tmp_path / "a/v.mp4"), f"{tmp_path}/b/*"])
    assert [source.name for source in found] == ["v", "V_2", "v_3"]
    assert {source.form for source in found} == {"file"}


@pytest.mark.parametrize(
    ("word", "name", "form"),
    [
        ("0", "camera0", "camera"),
        ("rtsp://user:secret@host/live stream", "host_live_stream", "stream"),
        ("http://host/..", "host", "stream"),
    ],
)
def test_live_sources(word: str, name: str, form: str) -> None:
    (source,) = find_sources([word])
    assert (source.name, source.form, source.live) == (name, form, True)
    assert "secret" not in source.name


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@host:554/live?a=b@c", "rtsp://host:554/live?a=b@c"),
        ("RTSP://user:sec@ret@host/live", "RTSP://host/live"),
        ("http://host/@me/v.mp4", "http://host/@me/v.mp4"),
    ],
)
def test_a_password_is_not_shown(address: str, shown: str) -> None:
    (source,) = find_sources([address])
    assert (source.shown, source.address) == (shown, address)
    assert "ret" not in source.name


def test_a_number_is_a_camera_whatever_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("7").write_bytes(b"x")
    (source,) = find_sources([7])
    assert (source.name, source.form, source.address) == ("camera7", "camera", "7")


def test_a_file_whose_name_is_a_number_or_a_pattern_is_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("7", "[a].mp4"):
        Path(name).write_bytes(b"x")
    assert [source.form for source in find_sources(["7", "[a].mp4"])] == ["file", "file"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.mp4", "nothing.mp4: no such file or folder"),
        ("loop", "loop: is a broken link; check the path"),
        ("*.avi", r"\*\.avi: no file matches"),
        (
            "empty",
            r"empty: contains no frames; give a folder with .bmp, .png, .jpg or .jpeg files$",
        ),
        ("clip", r"clip: contains no frames; give clip/images$"),
        (
            "clips",
            r"clips: contains no frames; give one of clips/a/images, clips/b/images$",
        ),
        ("clip*", r"clip\*: matches folders only; give them without .* such as 'clip\*/\*\.png'$"),
        (
            "films",
            r"films: contains no frames .*, but files with .mp4; .* list them: 'films/\*\.mp4'",
        ),
        (
            "notes",
            r"notes: contains no frames \(.*\), but files with .csv, .json; give a folder of fra",
        ),
        ("many", r"but files with \.a, \.b, \.c, \.d, \.e, \.\.\.; give a folder of frames"),
        (
            "both",
            r"both: contains no frames .*, but files with .json, .mp4; .*: 'both/\*\.mp4'",
        ),
        ("twice", r"01\.jpg: has the same number as 1\.jpg|1\.jpg: has the same number"),
        ("mixed/*", r"mixed/\*: images and other files are mixed"),
        ("pic.tiff", r"pic\.tiff: unsupported image format"),
        (
            "phone",
            r"phone/2\.HEIC: unsupported .*; convert it to PNG or JPEG, or give 'phone/\*\.png'",
        ),
        ("lost", r"lost/2\.png: is a broken link; replace or remove it"),
        ("pipe", r"pipe/2\.png: is a pipe or a device, not a file; replace or remove it"),
        ("lost/*", r"lost/2\.png: is a broken link; replace or remove it"),
        ("list.txt", "list.txt: line 2: .*gone.png: no such file"),
        ("blank.txt", "blank.txt: contains no paths"),
        ("live.txt", "^live.txt: line 2: rtsp://host/x: is an address; give it as a source of its"),
        ("both.txt", "both.txt: line 2: clip/images: is a folder among files; list folders of fra"),
        ("inside.txt", "clip: contains no frames; give clip/images"),
        ("", "^a source is empty"),  # "$VIDEO", which is not set
        ("x" * 300, "x: no such file or folder; check the path"),
        ("run", r"^run: is a run folder, and its images are no frames; give a video or a folder"),
    ],
)
def test_what_names_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("loop").symlink_to("loop")
    for folder in ("clip/images", "clip/.hidden", "clips/a/images", "clips/b/images"):
        frames(Path(folder), "1.jpg")
    Path("clip/info.json").touch()
    many = [f"many/x.{letter}" for letter in "abcdef"]
    for name in (*many, "notes/a.csv", "notes/a.json", "both/a.json", "both/a.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("films").mkdir()
    Path("films/a.mp4").write_bytes(b"x")
    frames(Path("twice"), "1.jpg", "01.jpg")
    frames(Path("mixed"), "1.jpg")
    Path("mixed/a.mp4").write_bytes(b"x")
    Path("pic.tiff").write_bytes(b"II*\0")
    Path("list.txt").write_text("twice/1.jpg\ngone.png\n")
    Path("both.txt").write_text("twice/1.jpg\nclip/images\n")
    Path("inside.txt").write_text("clip\n")
    Path("live.txt").write_text("twice/1.jpg\nrtsp://me:secret@host/x\n")
    frames(Path("run"), "overlay.png")
    for name in ("config.yaml", "metrics.jsonl"):
        Path("run", name).touch()
    Path("blank.txt").write_text("\n# none\n")
    for folder in ("phone", "lost", "pipe"):
        frames(Path(folder), "1.png", "3.png")
    Path("phone/2.HEIC").touch()
    Path("lost/2.png").symlink_to("gone.png")
    os.mkfifo("pipe/2.png")
    with pytest.raises(InputError, match=message):
        find_sources([word])


def test_a_source_may_begin_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "v.mp4").write_bytes(b"x")
    for word in ("~/v.mp4", "~/*.mp4", Path("~/v.mp4")):
        (source,) = find_sources([word])
        assert source.address == str(tmp_path / "v.mp4")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/v.txt").write_text("~/v.mp4\n")
    assert find_sources([tmp_path / "lists/v.txt"])[0].address == str(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"^~no_such_user/v: no such file"):
        find_sources(["~no_such_user/v"])


@pytest.mark.parametrize("form", ["file://{}", "FILE://LocalHost{}"])
def test_the_address_of_a_file_is_that_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "my vidéo.mp4"
    path.write_bytes(b"x")
    (source,) = find_sources([form.format(quote(str(path)))])
    assert (source.name, source.form, source.address) == ("my_vidéo", "file", str(path))
    (tmp_path / "list.txt").write_text(form.format(quote(str(path))))
    assert find_sources([tmp_path / "list.txt"]) == [source]
    with pytest.raises(InputError, match=r"^\[: no file matches"):
        find_sources(["file://["])
    with pytest.raises(InputError, match=r"^/gone\.mp4: no such file or folder"):
        find_sources(["file:///gone.mp4"])


def test_none_at_all() -> None:
    with pytest.raises(InputError, match="no video given"):
        find_sources([])
