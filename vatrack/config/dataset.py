"""The `dataset` section of the config: the raw data and how it becomes annotations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vatrack.config.base import Fraction, Frozen
from vatrack.config.classes import SAILVOS, ClassList, names_problem
from vatrack.config.plain_words import ADDRESS, CHECKSUM, FOLDER_NAME


class SyntheticConfig(Frozen):
    """Miniature dataset that `vatrack synth` renders in SAIL-VOS's raw layout."""

    train_videos: int = Field(8, ge=1, description="number of videos in train.json")
    valid_videos: int = Field(3, ge=1, description="number of videos in valid.json")
    frames: int = Field(
        49,
        ge=16,
        description="number of raw frames per video; 9 of them have no annotations, as in SAIL-VOS",
    )
    width: int = Field(320, ge=64, le=1280, description="frame width in pixels")
    height: int = Field(200, ge=40, le=800, description="frame height in pixels")
    objects: int = Field(5, ge=1, le=40, description="mean number of objects per shot")
    classes: int = Field(
        6, ge=1, le=len(SAILVOS), description="number of SAIL-VOS classes that occur"
    )
    shots: int = Field(
        2,
        ge=1,
        description="number of shots per video, joined by hard cuts (one may be a slow fade "
        "instead)",
    )


class DownloadConfig(Frozen):
    """A file with a public address."""

    url: str = Field(
        pattern=ADDRESS,
        description="address: https://..., or file:///... for a local copy",
    )
    size: int = Field(gt=0, description="expected size in bytes")
    sha256: str = Field(pattern=CHECKSUM, description="expected SHA-256 checksum")


class ArchiveConfig(Frozen):
    """One archive of the raw download, or one volume of it."""

    path: Path = Field(
        description="tar (also .gz, .bz2, .xz, .zst), zip, or one volume of a split tar"
    )
    size: int | None = Field(None, gt=0, description="expected size in bytes; null: not checked")
    sha256: str | None = Field(
        None, pattern=CHECKSUM, description="expected SHA-256 checksum; null: not checked"
    )


class ValidationConfig(Frozen):
    """What `vatrack validate` checks."""

    frames: Literal["decode", "header", "exist"] = Field(
        "decode",
        description="decode: decode every frame; header: read only header and length of the files "
        "(saves hours); exist: check only that the files exist",
    )
    masks: bool = Field(
        True,
        description="compare areas, boxes and occlusion rates with the masks (own data: "
        "visible masks and occlusion rates with amodal masks)",
    )
    accept: tuple[str, ...] = Field(
        (),
        description="error codes to treat as warnings (see docs/findings.md)",
    )


class ClipsConfig(Frozen):
    """How videos are cut into clips (spec 1.3, 1.4)."""

    structure: Literal["detect", "whole"] | Path = Field(
        "detect",
        description="detect: cut where the content changes; whole: one clip per video; or path of "
        "a clip dictionary (JSON)",
    )
    fetch: bool = Field(
        False,
        description="download the clip dictionary from `download` to the path in `structure`",
    )
    download: DownloadConfig | None = Field(
        None, description="public address of the clip dictionary; used only with `fetch`"
    )
    mode: Literal["hardlink", "symlink", "copy", "png"] = Field(
        "hardlink",
        description="how frames are put into the clip folders; raw frames are never changed",
    )
    curves: bool = Field(
        False,
        description="also measure content scores if a dictionary defines the clips, to plot them "
        "on the cut sheets",
    )
    threshold: float = Field(
        27.0, gt=0, description="content score from which a video is cut (spec 1.3)"
    )
    min_frames: int = Field(5, ge=1, description="minimum number of frames between cuts (spec 1.3)")

    @field_validator("structure")
    @classmethod
    def _is_no_misspelt_word(cls, value: str | Path) -> str | Path:
        if isinstance(value, Path) and (word := str(value).lower()) in ("detect", "whole"):
            raise ValueError(f"'{value}' is not a clip dictionary; write {word} in small letters")
        return value


class DatasetConfig(Frozen):
    """Raw data, and how it is converted into annotations."""

    name: str = Field(
        "mini",
        pattern=FOLDER_NAME,
        description="name of the dataset: mini, sailvos, sailvos-cut or your own",
    )
    classes: Literal["sailvos", "data"] | tuple[str, ...] = Field(
        "sailvos",
        description="sailvos: the paper's 24 classes; data: the categories of the training file, "
        "in its order; or a list of names. Classes are matched by name, not by category id",
    )
    format: Literal["sailvos", "joint"] = Field(
        "sailvos",
        description="sailvos: the raw download; joint: your own annotations (docs/own-data.md) in "
        "`images`, `train_json` and `valid_json`",
    )
    images: Path | None = Field(
        None,
        description="only for format joint: folder that the file names in the annotations are "
        "relative to",
    )
    raw: Path | None = Field(
        None, description="folder of the raw download; null: render the miniature dataset"
    )
    archives: tuple[ArchiveConfig, ...] = Field(
        (),
        description="archives of the raw download, to unpack into `raw`; empty: already unpacked",
    )
    archive_strip: int = Field(
        0, ge=0, description="number of leading folders to strip from names in the archives"
    )
    train_json: Path | None = Field(
        None,
        description="training annotations; null: <raw>/train.json",
    )
    valid_json: Path | None = Field(
        None,
        description="validation annotations; null: <raw>/valid.json",
    )
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    synthetic: SyntheticConfig = Field(default_factory=SyntheticConfig)
    clips: ClipsConfig = Field(default_factory=ClipsConfig)
    joint_box: Literal["amodal", "visible"] = Field(
        "amodal",
        description="boxes of the joint form: amodal (as in the paper) or visible (ablation; spec "
        "1.5)",
    )
    max_occlusion: Fraction = Field(
        0.75, description="annotations with a higher occlusion rate are dropped (spec 1.5)"
    )
    max_occlusion_inclusive: bool = Field(
        True, description="keep annotations with exactly this rate (quirk D12)"
    )
    video_max_occlusion: Fraction = Field(
        0.75, description="the same limit for the ground truth of the video metrics (spec 1.6)"
    )
    video_max_occlusion_inclusive: bool = Field(
        False, description="keep annotations with exactly this rate (quirk D12)"
    )

    @property
    def class_list(self) -> ClassList | None:
        """The classes; None: those of the training file."""
        if self.classes == "data":
            return None
        return SAILVOS if isinstance(self.classes, str) else ClassList(self.classes)

    def annotation_files(self, raw: Path | None) -> dict[str, Path]:
        """The annotations of the raw data, or one's own, by subset: train and valid.

        Args:
            raw: folder where those are that the config does not name; None: they are left out.
        """
        given = {"train": self.train_json, "valid": self.valid_json}
        files = {name: path or (raw and raw / f"{name}.json") for name, path in given.items()}
        return {name: path for name, path in files.items() if path}

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
                    f"format joint needs images, train_json and valid_json, but {missing[0]} is "
                    "missing (docs/own-data.md)"
                )
            if self.raw or self.archives:
                raise ValueError(
                    "raw and archives are not used with format joint; remove them, or set format: "
                    "sailvos"
                )
        elif self.images:
            raise ValueError("images is only for your own annotations; also set format: joint")
        if self.archives and not self.raw:
            raise ValueError("archives need an output folder; set it as raw")
        if self.clips.fetch and not (
            isinstance(self.clips.structure, Path) and self.clips.download
        ):
            raise ValueError(
                "clips.fetch needs a path in clips.structure and an address in clips.download; add "
                "them"
            )
        return self


def _limit(rate: float, inclusive: bool) -> float:
    return math.nextafter(rate, math.inf) if inclusive else rate
