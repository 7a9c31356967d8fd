"""The `dataset` section of the config: the raw data and how it becomes annotations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vatrack.config.base import Fraction, Frozen
from vatrack.config.classes import SAILVOS, ClassList, names_problem


class SyntheticConfig(Frozen):
    """The miniature set that `vatrack synth` renders in SAIL-VOS's raw layout."""

    train_videos: int = Field(8, ge=1, description="videos in train.json")
    valid_videos: int = Field(3, ge=1, description="videos in valid.json")
    frames: int = Field(
        49,
        ge=16,
        description="raw frames per video; 9 of them stay unannotated, as in the original",
    )
    width: int = Field(320, ge=64, le=1280, description="pixels")
    height: int = Field(200, ge=40, le=800, description="pixels")
    objects: int = Field(5, ge=1, le=40, description="objects per shot, on average")
    classes: int = Field(
        6, ge=1, le=len(SAILVOS), description="how many of SAIL-VOS's classes occur"
    )
    shots: int = Field(
        2, ge=1, description="shots per video, joined by hard cuts (one join may be a slow fade)"
    )


class DownloadConfig(Frozen):
    """A file with a public address."""

    url: str = Field(
        pattern=r"^(https?|file)://",
        description="address: https://..., or file:///... for a mirror on disk",
    )
    size: int = Field(gt=0, description="bytes; a file of another size is refused")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="checksum; another file is refused")


class ArchiveConfig(Frozen):
    """One archive of the raw download, or one volume of it."""

    path: Path = Field(
        description="tar (also .gz, .bz2, .xz, .zst), zip, or one volume of a tar that was split"
    )
    size: int | None = Field(None, gt=0, description="bytes; null: not checked")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checksum; null: not checked"
    )


class ValidationConfig(Frozen):
    """What `vatrack validate` looks at before any work is done."""

    frames: Literal["decode", "header", "exist"] = Field(
        "decode",
        description="decode: every frame; header: only head and length of the files (hours less); "
        "exist: only names",
    )
    masks: bool = Field(
        True, description="compare areas, boxes and occlusion rates with the masks themselves"
    )
    accept: tuple[str, ...] = Field(
        (),
        description="codes of known errors that become warnings (docs/findings.md lists them)",
    )


class ClipsConfig(Frozen):
    """How videos are cut into clips (spec 1.3, 1.4)."""

    structure: Literal["detect", "whole"] | Path = Field(
        "detect",
        description="detect: cut at content changes; whole: one clip per video; else a JSON "
        "dictionary of cuts",
    )
    fetch: bool = Field(
        False,
        description="download the dictionary of cuts from `download` to the path that `structure` "
        "names",
    )
    download: DownloadConfig | None = Field(
        None, description="public address of the dictionary; used only with `fetch`"
    )
    mode: Literal["hardlink", "symlink", "copy", "png"] = Field(
        "hardlink",
        description="how frames get into the clip tree; the raw frames are never changed",
    )
    curves: bool = Field(
        False,
        description="measure content changes also where a dictionary decides, to show them on the "
        "contact sheets",
    )
    threshold: float = Field(27.0, gt=0, description="content score that makes a cut (spec 1.3)")
    min_frames: int = Field(5, ge=1, description="shortest clip before a cut, in frames (spec 1.3)")


class DatasetConfig(Frozen):
    """Where the raw data lies and how it becomes annotations."""

    name: str = Field(
        "mini",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="mini, sailvos, sailvos-cut or your own",
    )
    classes: Literal["sailvos", "data"] | tuple[str, ...] = Field(
        "sailvos",
        description="sailvos: the paper's 24; data: the categories of the training file in its "
        "order; or a list of names. Files may number them otherwise: names decide",
    )
    format: Literal["sailvos", "joint"] = Field(
        "sailvos",
        description="sailvos: the raw download; joint: own annotations (docs/own-data.md), given "
        "by `images`, `train_json` and `valid_json`",
    )
    images: Path | None = Field(
        None,
        description="only for the format joint: folder that the file names of the annotations "
        "begin in",
    )
    raw: Path | None = Field(
        None, description="folder of the raw download; null: render the miniature set"
    )
    archives: tuple[ArchiveConfig, ...] = Field(
        (),
        description="archives of the raw download, unpacked into `raw` first; empty: `raw` is "
        "unpacked already",
    )
    archive_strip: int = Field(
        0, ge=0, description="leading folders of the names inside the archives to leave out"
    )
    train_json: Path | None = Field(
        None,
        description="annotations of the format; null: <raw>/train.json of SAIL-VOS",
    )
    valid_json: Path | None = Field(
        None,
        description="annotations of the format; null: <raw>/valid.json of SAIL-VOS",
    )
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    synthetic: SyntheticConfig = Field(default_factory=SyntheticConfig)
    clips: ClipsConfig = Field(default_factory=ClipsConfig)
    joint_box: Literal["amodal", "visible"] = Field(
        "amodal",
        description="box of the form `joint`: amodal as in the paper's VATrack, or visible "
        "(ablation; spec 1.5)",
    )
    max_occlusion: Fraction = Field(
        0.75, description="annotations above this rate are dropped (spec 1.5)"
    )
    max_occlusion_inclusive: bool = Field(
        True, description="whether a rate of exactly max_occlusion is kept (quirk D12)"
    )
    video_max_occlusion: Fraction = Field(
        0.75, description="the same for the ground truth of the video metrics (spec 1.6)"
    )
    video_max_occlusion_inclusive: bool = Field(
        False, description="whether a rate of exactly that is kept there (quirk D12)"
    )

    @property
    def class_list(self) -> ClassList | None:
        """The classes; None: those of the training file."""
        if self.classes == "data":
            return None
        return SAILVOS if isinstance(self.classes, str) else ClassList(self.classes)

    @property
    def frame_limit(self) -> float:
        """Annotations count while their occlusion rate is below this."""
        return _limit(self.max_occlusion, self.max_occlusion_inclusive)

    @property
    def video_limit(self) -> float:
        """The same for the ground truth of the video metrics."""
        return _limit(self.video_max_occlusion, self.video_max_occlusion_inclusive)

    @field_validator("classes")
    @classmethod
    def _sound_names(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(value, str) and (problem := names_problem(value)):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> DatasetConfig:
        if self.format == "joint":
            if missing := [
                name
                for name in ("images", "train_json", "valid_json")
                if getattr(self, name) is None
            ]:
                raise ValueError(
                    f"format joint needs images, train_json and valid_json; {missing[0]} is "
                    f"missing (docs/own-data.md)"
                )
            if self.raw or self.archives:
                raise ValueError(
                    "format joint begins at the annotations; leave raw and archives out, or set "
                    "format: sailvos"
                )
        elif self.images:
            raise ValueError("images is for own annotations only; set format: joint as well")
        if self.archives and not self.raw:
            raise ValueError("archives need a folder to be unpacked into; name it as raw")
        if self.clips.fetch and not (
            isinstance(self.clips.structure, Path) and self.clips.download
        ):
            raise ValueError(
                "clips.fetch needs a path in clips.structure and an address in clips.download"
            )
        return self


def _limit(rate: float, inclusive: bool) -> float:
    return math.nextafter(rate, math.inf) if inclusive else rate
