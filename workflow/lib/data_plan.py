"""What the rules of the data need to know: frames, cuts, annotations, and lists of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from vatrack.common.errors import ConfigError, InputError
from vatrack.config import Config
from vatrack.sailvos.layout import list_videos
from vatrack.synthetic.render import video_names

from .jobs import CutJobs
from .names import FORM_FILES, own_forms
from .paths import refuse_braces, require_there

# Of a rendered set: what one process does with so many takes no longer than to start two.
SMALL_FRAMES = 1000


class DataPlan:
    """The paths and lists of the data of one config."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.dataset = config.dataset
        self.root = f"{config.results}/{self.dataset.name}"
        refuse_braces(config)
        self._find_data()

    def _find_data(self) -> None:
        dataset = self.dataset
        self.joint = dataset.format == "joint"
        self.forms = own_forms(self.config.methods) if self.joint else list(FORM_FILES)
        self.raw_folder = str(dataset.images or dataset.raw or f"{self.root}/raw")
        rendered = dataset.synthetic
        frames = (rendered.train_videos + rendered.valid_videos) * rendered.frames
        # Known before there is a file of it, and so little work that processes would cost more
        # than they gain.
        self.small = not (self.joint or dataset.raw) and frames <= SMALL_FRAMES
        self.archives = [str(archive.path) for archive in dataset.archives]
        self.unpacked = f"{self.root}/unpacked.json"
        files = dataset.annotation_files(Path(self.raw_folder))
        self.train_json, self.valid_json = map(str, (files["train"], files["valid"]))
        structure = "whole" if self.joint else dataset.clips.structure
        self.given_structure = [] if structure in ("detect", "whole") else [str(structure)]
        # Content changes are measured where they decide about the cuts, or the sheets show them.
        self.detect = structure == "detect"
        self.measure = self.detect or (dataset.clips.curves and structure != "whole")
        scores = f"--scores {shlex.quote(f'{self.root}/cuts/scores')}"
        self.scores_option = scores if self.detect else ""
        self.curve_options = f"{scores} --threshold {dataset.clips.threshold}" * self.measure
        self.cut_jobs = CutJobs(self.videos() if self.small else None)

    def require_data(self) -> None:
        """Sees that what the data are made of is there, before anything runs.

        Asked for where the data are planned, so that other targets (`fetch_weights`) need none.

        Raises:
            InputError: a file or folder is missing.
        """
        given = self.given_structure
        if given and not self.dataset.clips.fetch:
            fix = "set dataset.clips.fetch: true to download it, or correct the path"
            require_there("dataset.clips.structure", Path(given[0]), "file", fix)
        if self.dataset.raw and not self.archives:
            fix = "give the folder of the unpacked download, or list its archives in "
            fix += "dataset.archives"
            require_there("dataset.raw", Path(self.raw_folder), "folder", fix)
        if self.joint:
            require_there("dataset.images", Path(self.raw_folder), "folder")
        made = not self.dataset.raw or bool(self.archives)  # by the workflow
        for subset in ("train_json", "valid_json"):
            file = getattr(self.dataset, subset)
            if file and (self.joint or not (made and file.is_relative_to(self.raw_folder))):
                require_there(f"dataset.{subset}", file, "file")

    def videos(self) -> list[str]:
        """The names of the raw video folders; archives must be unpacked before.

        Raises:
            InputError: there is none, or Snakemake cannot have a name in the path of a file.
        """
        if not self.dataset.raw:
            return list(chain.from_iterable(video_names(self.dataset.synthetic).values()))
        try:
            videos = list_videos(self.dataset.raw)
        except InputError as error:
            raise ConfigError("dataset.raw", str(error)) from None
        for video in videos:
            if video.startswith(".") or set(video) & set("{}"):
                raise ConfigError(
                    "dataset.raw",
                    f"{self.raw_folder}/{video}: video names with braces or a leading dot are not "
                    "supported; rename the folder, and the video in both annotation files",
                )
        return videos

    def threads(self, number: int) -> int:
        """Cores of a job that works on the whole set with a process for each."""
        return 1 if self.small else number

    def scores(self, videos: Iterable[str]) -> list[str]:
        """The content changes of these videos."""
        return [f"{self.root}/cuts/scores/{video}.json" for video in videos]

    def cut_sheets(self, videos: Iterable[str]) -> list[str]:
        """The contact sheets of these videos."""
        return [f"{self.root}/cuts/sheets/{video}.jpg" for video in videos]

    @property
    def shows_cuts(self) -> bool:
        """Whether there are contact sheets: not where every video is one clip."""
        return not self.joint and self.dataset.clips.structure != "whole"

    @property
    def official(self) -> list[str]:
        """Both annotation files; those of the miniature set come with its frames."""
        files = [self.train_json, self.valid_json]
        if self.dataset.raw or self.joint:
            return files
        return [file for file in files if not file.startswith(f"{self.raw_folder}/")]

    def official_json(self, wildcards: Any) -> str:
        """The official annotation file of a subset, train or valid."""
        return {"train": self.train_json, "valid": self.valid_json}[wildcards.subset]

    def raw_tree(self, wildcards: Any) -> str:
        """The raw tree; as plain text among the params it would look like a forgotten input."""
        return self.raw_folder
