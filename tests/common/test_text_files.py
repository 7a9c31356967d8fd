"""Every reader of text files, with every sort of bad text: what is read, and what is said.

A new reader is one more line in READERS.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vatrack.common.errors import PERMIT, InputError
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.text_files import check_source, nearest_existing, no_such, read_text
from vatrack.common.value_files import parse_yaml, read_json, read_yaml
from vatrack.config import load_config
from vatrack.config.categories import CATEGORIES
from vatrack.data.store import open_store
from vatrack.evaluation.io.offsets import find_truth
from vatrack.evaluation.io.prediction_file import open_predictions
from vatrack.runs.metrics_log import read_metrics_log
from vatrack.sailvos.annotate.models import read_models
from vatrack.sailvos.official import read_official
from vatrack.sailvos.structure import read_structure


class Reader(NamedTuple):
    """How a form is read, a sound text of it, and the text with a JSON or YAML value put in."""

    read: Callable[[Path], Any]
    sound: str
    with_value: str = ""


def lists(path: Path) -> Any:
    items = list(read_lists(path))
    texts = Texts(path)
    if path.read_bytes()[:2] != b"\x1f\x8b":
        assert [texts.load(item.offset, item.length) for item in items] == [
            item.value for item in items
        ]
    return [(item.section, item.value) for item in items]


def predictions(path: Path) -> Any:
    with open_predictions(path) as found:
        return [item.value for item in found]


TRUTH: dict[str, Any] = {
    "videos": [{"id": 1, "name": "a"}],
    "images": [
        {"id": 1, "video_id": 1, "frame_id": 0, "width": 9, "height": 9, "file_name": "a/1.jpg"}
    ],
    "annotations": [],
    "categories": [{"id": 1, "name": "car"}],
}
OFFICIAL = {
    **TRUTH,
    "images": [TRUTH["images"][0] | {"file_name": "a/images/1.jpg"}],
}
MODELS = {
    "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)],
    "models": [{"id": 1, "name": "é", "category_id": 1}],
}
VALUE = '{"x": [{"y": VALUE}]}'
READERS = {
    "json": Reader(read_json, '{"a": ["é", 1]}', VALUE),
    "yaml": Reader(read_yaml, "a: [é, 1]\n", "x: {y: VALUE}\n"),
    "text": Reader(lambda path: read_text(path).splitlines(), "é\n"),
    "streamed lists": Reader(lists, '{"a": [{"b": "é"}, {"c": 1}]}', VALUE),
    "json lines": Reader(predictions, '{"image_id": 1}\n{"a": "é"}\n', '{"y": VALUE}\n'),
    "array of predictions": Reader(predictions, '[{"image_id": 1}, {"a": "é"}]', '[{"y": VALUE}]'),
    "config": Reader(load_config, "seed: 1\n", "seed: VALUE\n"),
    "ground truth": Reader(lambda path: len(find_truth(path)), json.dumps(TRUTH)),
    "official JSON": Reader(lambda path: read_official(path).images, json.dumps(OFFICIAL)),
    "training form": Reader(lambda path: open_store(path).clips, json.dumps(TRUTH), VALUE),
    "models": Reader(lambda path: read_models(path).known, json.dumps(MODELS)),
    "models, CSV": Reader(lambda path: read_models(path).known, "name,category\né,car\n"),
    "metrics log": Reader(
        lambda path: read_metrics_log(path).training, '{"step": 1, "epoch": 1, "loss": 2}\n'
    ),
    "structure": Reader(read_structure, '{"a__0": ["1.jpg"]}', '{"a__0": VALUE}'),
}

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "gzip": gzip.compress,
    "gzip of two members": lambda text: gzip.compress(text[:5]) + gzip.compress(text[5:]),
    "gzip, byte order mark": lambda text: gzip.compress(b"\xef\xbb\xbf" + text),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("suffix", ["", ".gz", ".GZ"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("reader", READERS)
def test_text_is_read_by_its_content(
    tmp_path: Path, reader: str, encoding: str, suffix: str
) -> None:
    read, sound, _ = READERS[reader]
    plain, path = tmp_path / "plain", tmp_path / f"file{suffix}"
    plain.write_text(sound, encoding="utf-8")
    path.write_bytes(ENCODINGS[encoding](sound.encode()))
    assert read(path) == read(plain)


ZIP = b"PK\x03\x04"
ENTRY = ZIP + bytes(26)  # up to the name of the first file
# Files of other kinds, whatever the text.
OTHER_FILES = {
    "weights": (ENTRY + b"best/data.pkl", "is PyTorch weights (.pt)"),
    "safetensors": (b"@\x01" + bytes(6) + b'{"a": {}}', "is weights (.safetensors)"),
    "arrays": (ENTRY + b"record.npy", "is an evaluation shard (.npz)"),
    "other arrays": (ENTRY + b"masks.npy", "is a NumPy archive (.npz)"),
    "PNG": (b"\x89PNG\r\n", "is an image"),
    "BMP": (b"BM6\0\0\0\0\0\0\0", "is an image"),
    "MP4": (b"\0\0\0 ftypisom", "is a video"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "HTML": (b"<!DOCTYPE html><html>", "is an HTML page"),
}
REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "is UTF-16; save it as UTF-8"),
    "UTF-16 without mark": (lambda text: text.decode().encode("utf-16-be"), "is UTF-16"),
    "UTF-32": (lambda text: text.decode().encode("utf-32"), "is UTF-16"),
    "zip": (lambda text: ZIP + text, "is a zip archive"),
    "zstd": (lambda text: b"\x28\xb5\x2f\xfd" + text, "is compressed with zstd"),
    "cut gzip": (lambda text: gzip.compress(text * 99)[:20], "cannot be read"),
}


@pytest.mark.parametrize("fault", [*REFUSED, *OTHER_FILES])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, reader: str, fault: str) -> None:
    read, sound, _ = READERS[reader]
    path = tmp_path / "file"
    if fault in REFUSED:
        spoil, message = REFUSED[fault]
        path.write_bytes(spoil(sound.encode()))
    else:
        content, message = OTHER_FILES[fault]
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("reader", READERS)
def test_pipes_devices_and_folders_are_refused(tmp_path: Path, reader: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # These look whether the file is there before they open it, and say how to make it.
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    below = "" if reader in ("training form", "metrics log") else f": {pipe} is a file"
    for path, message in (
        (pipe, "is a pipe or a device; save its content to a file first"),
        (Path("/dev/zero"), "is a pipe or a device; save its content to a file first"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "no such file; "),
        (pipe / "none", f"no such file{below}"),
        (tmp_path / "lost", "is a broken link; "),
        (tmp_path / "circle", "is a broken link; "),
        (tmp_path / "circle" / "none", "no such file; "),
    ):
        with pytest.raises(InputError) as caught:
            READERS[reader].read(path)
        assert str(caught.value).startswith(f"{path}: {message}")


def test_a_folder_is_no_missing_file_nor_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.mkfifo(tmp_path / "pipe")
    assert no_such(tmp_path / "none", "file") == "no such file"
    assert no_such(tmp_path / "none", "folder") == "no such folder"
    assert no_such(tmp_path, "file") == "is a folder, not a file"
    assert no_such(file, "folder") == "is a file, not a folder"
    (tmp_path / "circle").symlink_to("circle")
    assert no_such(tmp_path / "circle", "folder") == "is a broken link"
    assert nearest_existing(tmp_path / "circle" / "a") == tmp_path / "circle"
    assert no_such(tmp_path / "pipe", "file") == "is a pipe or a device, not a file"
    with pytest.raises(InputError, match=rf"no such file: {file} is a file, not a folder; check"):
        check_source(file / "metrics.jsonl")


def test_what_is_written_otherwise_is_named(tmp_path: Path) -> None:
    run = tmp_path / "results" / "runs" / "vatrack__e6"
    run.mkdir(parents=True)
    config = run / "config.yaml"
    config.touch()
    for wrong in (
        run.parent / "VATrack_e6" / "config.yaml",
        tmp_path / "Results" / "Runs" / "vatrack-e6" / "Config.YAML",
        run / "config",
        Path(f"'{config}'"),
        Path(str(config).replace("/", "\\")),
    ):
        assert no_such(wrong, "file") == f"no such file (did you mean {config}?)"
    nothing = Path("''")
    for other in (run / "config.yml", run.parent / "vatrack__e7", config / "config.yaml", nothing):
        assert no_such(other, "file") == "no such file"
    assert no_such(run / "Config.yaml", "frame") == "no such frame"  # there may be thousands


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_json_file_is_not_called_damaged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    for read in (read_json, lists):
        with pytest.raises(InputError, match=r"a\.json: is empty; download or create it again$"):
            read(path)


BAD_VALUES = {
    "long integer": "9" * 5001,
    "deep": "[" * 600 + "]" * 600,
    "deeper": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"k": ' * 600 + "1" + "}" * 600,
    "twice": '{"k": 1, "j": 2, "k": 3}',
    "twice, spaced": '{"k": "a:", "j" : 2, "k" : 3}',
    "NUL": "\x00",
    "garbage": "[1",
    "a quotation mark": '"',
}


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("reader", [name for name in READERS if READERS[name].with_value])
def test_bad_values_are_one_message(tmp_path: Path, reader: str, value: str) -> None:
    path = tmp_path / "file"
    text = READERS[reader].with_value.replace("VALUE", BAD_VALUES[value])
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        READERS[reader].read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) < 1000
    if value.startswith("twice"):
        assert "its key `k` occurs twice" in message


@pytest.mark.parametrize("reader", [name for name in READERS if READERS[name].with_value])
def test_bytes_that_are_no_utf8_are_one_message(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(READERS[reader].with_value.encode().replace(b"VALUE", b'"caf\xe9"'))
    with pytest.raises(InputError, match=r"UTF-8|not valid JSON") as caught:
        READERS[reader].read(path)
    assert str(caught.value).startswith(f"{path}: ")


LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 0b_", "at line 1, column 7 .*0b_"),
        ("a: 1\nseed: 0x_", "at line 2, column 7 .*0x_"),
        ("a: 1\nb: 2\na: 3", "at line 3, column 1 .*its key `a` occurs twice"),
        ("a: {b: 1, b: 2}", "its key `b` occurs twice"),
        ("a: !!python/object:os.system x", "at line 1, column 4 .*python/object"),
        ("a: !!timestamp x", "at line 1, column 4"),
        ("a: !!int x", "at line 1, column 4"),
        ("a: !!float x", "at line 1, column 4"),
        ("a: !!bool x", "at line 1, column 4"),
        ("a: =", "at line 1, column 4"),
        ("{[1]: 2}", "at line 1, column 2"),
        ("a: *b", "at line 1, column 4 .*undefined alias"),
        ("a: &a [*a]", "contains itself through an alias"),
        ("a: &a {<<: *a}", "contains itself through an alias"),
        (LAUGHS, "its aliases expand to more than 100000 values"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: 1\nb: \x07", "at line 2 .*#x0007"),
        ("\tx: 1", "at line 1, column 1 .*; use spaces instead of the tab"),
        ("a:\n  b:1\n  c: 2", "at line 3, column 4 .*; .* put a space behind each colon"),
    ],
)
def test_yaml_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^x\.yaml: not valid YAML .*{message}"):
        parse_yaml(text, "x.yaml")


def test_yaml_that_can_be_read() -> None:
    assert parse_yaml("a: 2026-11-28\nb: 2024-99-99", "x") == {"a": "2026-11-28", "b": "2024-99-99"}
    merged = "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nother: {<<: *b, <<: {z: 1}}"
    assert parse_yaml(merged, "x")["mine"] == {"x": 1, "y": 3}
    assert parse_yaml("", "x") is None
    assert parse_yaml("1: a\n'1': b", "x") == {1: "a", "1": "b"}


@pytest.mark.parametrize("text", ["false", "0", "[]", "''", "[1]", "text", "3"])
def test_a_config_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml: invalid configuration: .*not a mapping"):
        load_config(path)


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(r'{"a": "\ud83d\ude00"}')
    assert read_json(path) == {"a": "\U0001f600"}
    path.write_text(r'{"a": "\ud83d"}')
    with pytest.raises(InputError, match=r"x\.json: .*a single surrogate"):
        read_json(path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")

    def forbidden(*given: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for name, read in (("open", read_text), ("stat", check_source)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, forbidden)
            with pytest.raises(InputError) as refused:
                read(path)
        assert str(refused.value) == f"{path}: permission denied; {PERMIT}"
