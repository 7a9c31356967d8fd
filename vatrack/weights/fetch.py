"""The files of weights that a config names for the start of its trainings: there, or downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vatrack.common.errors import ConfigError
from vatrack.common.text_files import no_such
from vatrack.config import Config, RunConfig
from vatrack.config.training import HASH_DIGITS, HASHED_NAME, TrainingConfig

if TYPE_CHECKING:
    from vatrack.common.download import Fetched

NOTHING = "nothing to download: the config names no weights, and its trainings need none"


@dataclass(frozen=True)
class FetchedWeights:
    """What `fetch_weights` did with each file.

    Attributes:
        files: those that have an address.
        own: those that are there and have none, so that nothing says what should be in them.
    """

    files: tuple[Fetched, ...]
    own: tuple[Path, ...] = ()

    def __str__(self) -> str:
        kept = [
            f"{path} already exists, not verified (no address in training.weights_urls ends in "
            f"{path.name})"
            for path in self.own
        ]
        return "\n".join([*map(str, self.files), *kept]) or NOTHING


def require_start(run: RunConfig) -> None:
    """Sees that a training can start: it has the weights that it needs, and their file is there.

    Raises:
        InputError: the backbone needs pretrained weights and the config names none; or their file
            is missing (the message says how to download it where it is a published one).
    """
    run.check_start()
    path = run.training.weights
    if path is None or path.is_file():
        return
    fix = "put it there, or correct the path"
    if address(path, run.training):
        fix = (
            "download it (`vatrack fetch-weights --config FILE`, or `snakemake fetch_weights "
            "--cores 1 --configfile FILE`), or correct the path"
        )
    raise ConfigError("training.weights", f"{path}: {no_such(path, 'file')}; {fix}")


def fetch_weights(config: Config, *, tries: int = 4, wait: float = 2.0) -> FetchedWeights:
    """Downloads the files of `training.weights`, each whole and checked, or not at all.

    A file comes from the address of `training.weights_urls` that ends in its name, and its sha256
    must begin with the digits at the end of that name, as torch.hub has it. One that is there is
    kept, and checked if it has an address.

    Args:
        tries, wait: see `vatrack.common.download.fetch`.

    Raises:
        InputError: the config names no file although a training needs one, or one that is missing
            and has no address; or the download failed.
    """
    # Here: who only asks whether a training can start needs no library for the network.
    from vatrack.common.download import fetch

    training = config.training
    named = {path: None for each in config.backbones if (path := config.start_file(each))}
    if not named:
        for run in config.runs():
            run.check_start()
        return FetchedWeights(())
    addresses = {path: address(path, training) for path in named}
    for path, url in addresses.items():
        if url is None and not path.is_file():
            raise ConfigError(
                "training.weights",
                f"{path}: {no_such(path, 'file')}, and no address in training.weights_urls ends in "
                f"{path.name}; put the file there, add its address, or correct the name",
            )
    files = tuple(
        fetch(
            url,
            None,
            hash_in_name(path.name),
            path,
            fewest_digits=HASH_DIGITS,
            tries=tries,
            wait=wait,
        )
        for path, url in addresses.items()
        if url is not None
    )
    return FetchedWeights(files, tuple(path for path, url in addresses.items() if url is None))


def hash_in_name(name: str) -> str:
    """The first digits of a file's sha256, from the end of its name.

    Example: `hash_in_name("resnet50-0676ba61.pth") == "0676ba61"`
    """
    match = HASHED_NAME.fullmatch(name)
    assert match, "the config refuses addresses without"
    return match[1]


def address(path: Path, training: TrainingConfig) -> str | None:
    """Where a file of weights is downloaded from; None: the config has no address for it."""
    names = (unquote(url.rpartition("/")[2]) for url in training.weights_urls)
    return dict(zip(names, training.weights_urls, strict=True)).get(path.name)
