"""How the work of a stage is divided into jobs, and what these are told."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted

from .names import RUN


@dataclass(frozen=True)
class Shards:
    """The shards of a stage of each run, `count` of them; where it is 1, one job does all.

    `folder`: where they are until they are merged. It differs for each `count`, because the number
    of shards changes no byte of the result, and those of different numbers must not be mixed.
    """

    folder: str
    count: int

    @property
    def several(self) -> bool:
        """Whether there is anything to merge."""
        return self.count > 1

    @property
    def name(self) -> str:
        """What the log of a shard is called."""
        return f"{RUN}.{{shard}}"

    @property
    def option(self) -> str:
        """Options: which shard."""
        return f"--shard {{shard}}/{self.count}"

    def one(self, end: str) -> str:
        """The file of a shard whose name ends so."""
        return f"{self.folder}/{{shard,[0-9]+}}{end}"

    def all(self, end: str) -> list[str]:
        """These files of all shards, in their order."""
        return [f"{self.folder}/{number}{end}" for number in range(1, self.count + 1)]


def details_option(wildcards: Any, output: Any) -> str:
    """Options: the file of an evaluation's details. Shards have none before they are merged."""
    return f"--details {shlex.quote(output.details)}"


@dataclass(frozen=True)
class CutJobs:
    """The jobs that look for the cuts, and show them: one for all `known` videos of a small set,
    because a process takes longer to start than to work on one of them.

    Where `known` is None each video has a job of its own: they run side by side, on a cluster, too,
    and what is done stays done.
    """

    known: Sequence[str] | None

    @property
    def videos(self) -> list[str]:
        """The videos of one job; of any other set, the wildcard."""
        return ["{video}"] if self.known is None else list(self.known)

    @property
    def shown(self) -> str:
        """What messages call them."""
        return "{wildcards.video}" if self.known is None else counted(len(self.known), "video")

    def name(self, rule: str) -> str:
        """What the log of a job is called."""
        return f"{rule}/{{video}}" if self.known is None else rule

    def group(self, rule: str) -> str | None:
        """The group of jobs that a cluster runs as one."""
        return rule if self.known is None else None

    def target(self, wildcards: Any, output: Sequence[str]) -> str:
        """Options: one video and its file, or the folder of all videos."""
        if self.known is None:
            return f"--video {shlex.quote(wildcards.video)} --out {shlex.quote(output[0])}"
        return f"--out {shlex.quote(str(Path(output[0]).parent))}"
