"""Downloading the weights that a config names, from folders that stand for servers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, parse_config
from vatrack.weights.fetch import fetch_weights, hash_in_name, require_start

CONTENT = {"resnet18": b"weights of one" * 99, "resnet50": b"weights of the other"}


def published(folder: Path, **content: bytes) -> dict[str, str]:
    """Writes files with the digits of their sha256 in their names; their addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, data in content.items():
        file = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.pth"
        file.write_bytes(data)
        found[name] = file.as_uri()
    return found


def config_of(urls: dict[str, str], weights: Any, *backbones: str) -> Config:
    training = {"weights": weights, "weights_urls": list(urls.values())}
    values = {"backbones": backbones or tuple(CONTENT), "training": training}
    return parse_config(values, "test", Config)


def test_missing_files_are_downloaded_and_others_kept(tmp_path: Path) -> None:
    urls = published(tmp_path / "server", **CONTENT)
    places = {name: tmp_path / "data" / url.rpartition("/")[2] for name, url in urls.items()}
    config = config_of(urls, places)
    assert str(fetch_weights(config)).count("downloaded ") == 2
    assert {name: place.read_bytes() for name, place in places.items()} == CONTENT
    assert len(list((tmp_path / "data").iterdir())) == 2
    places["resnet18"].unlink()
    again = str(fetch_weights(config)).splitlines()
    assert again[0].startswith("downloaded ")
    assert "already exists, checksum verified" in again[1]
    one = config_of(urls, places["resnet18"])
    assert len(fetch_weights(one).files) == 1, "one file for both backbones"


def test_a_wrong_content_is_not_kept(tmp_path: Path) -> None:
    urls = published(tmp_path / "server", **CONTENT)
    names = {name: url.rpartition("/")[2] for name, url in urls.items()}
    (tmp_path / "server" / names["resnet50"]).write_bytes(b"a page that asks to log in")
    places = {name: tmp_path / "data" / file for name, file in names.items()}
    with pytest.raises(InputError, match=r"SHA256 hash of downloaded file .* does not match"):
        fetch_weights(config_of(urls, places))
    kept = [path.name for path in (tmp_path / "data").iterdir()]
    assert kept == [names["resnet18"]], "whole, or not at all"
    places["resnet50"].write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"already exists, but is a different file.*move it away"):
        fetch_weights(config_of(urls, places))
    assert places["resnet50"].read_bytes() == b"cut off"


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/x-01234567.pth"  # the port for discarding: nobody listens
    out = tmp_path / "x-01234567.pth"
    told = rf"^{url}: server not reachable.*after 2 attempts; try again later, or download it"
    with pytest.raises(InputError, match=told):
        fetch_weights(config_of({"x": url}, out), tries=2, wait=0)
    assert not out.exists()


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (
            None,
            r"training\.weights: frozen_stages 1 and norm batch need pretrained weights, but none "
            r"are given for resnet18; set training\.weights: \{resnet18: FILE\} ",
        ),
        ({"resnet50": "mine.pth"}, r"mine\.pth: no such file, and no address .* ends in mine\.pth"),
    ],
)
def test_what_cannot_be_downloaded(weights: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=complaint):
        fetch_weights(config_of(published(tmp_path, **CONTENT), weights))


def test_trainings_that_need_no_weights_have_nothing_to_download() -> None:
    config = parse_config({"training": {"random_start": True}}, "test", Config)
    told = "nothing to download: the config names no weights, and its trainings need none"
    assert str(fetch_weights(config)) == told


def test_own_files_need_no_address(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.touch()
    fetched = fetch_weights(config_of({}, mine))
    assert (fetched.files, fetched.own) == ((), (mine,))
    told = f"{mine} already exists, not verified (no address in training.weights_urls ends in mine"
    assert str(fetched).startswith(told)
    urls = published(tmp_path / "server", resnet18=b"published")
    place = tmp_path / urls["resnet18"].rpartition("/")[2]
    both = str(fetch_weights(config_of(urls, {"resnet18": place, "resnet50": mine}))).splitlines()
    assert both[0].startswith(f"downloaded {place}") and both[1].startswith(told)


def test_a_training_says_how_to_get_its_file(tmp_path: Path) -> None:
    urls = published(tmp_path / "server", **CONTENT)
    for name, fix in (
        (urls["resnet18"].rpartition("/")[2], r"download it \(`vatrack fetch-weights --config"),
        ("mine.pth", "put it there, or correct the path"),
    ):
        place = tmp_path / name
        run = config_of(urls, place).for_run(Method.VATRACK, Backbone.RESNET18)
        with pytest.raises(InputError, match=rf"training\.weights: .*{name}: no such file; {fix}"):
            require_start(run)
        place.touch()
        require_start(run)


def test_the_names_of_published_files_have_their_checksum() -> None:
    names = [url.rpartition("/")[2] for url in Config().training.weights_urls]
    assert [hash_in_name(name) for name in names] == ["0676ba61", "9352eb0d"]


def test_the_command(tmp_path: Path) -> None:
    urls = published(tmp_path / "server", **CONTENT)
    place = tmp_path / "data" / urls["resnet18"].rpartition("/")[2]
    file = tmp_path / "mine.yaml"
    file.write_text(f"training: {{weights: '{place}', weights_urls: ['{urls['resnet18']}']}}\n")
    ended = CliRunner().invoke(app, ["fetch-weights", "--config", str(file)])
    assert ended.exit_code == 0, ended.output
    assert place.read_bytes() == CONTENT["resnet18"]
    assert "downloaded" in ended.output
