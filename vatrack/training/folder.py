"""What a training keeps in its run's folder, and what it removes there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from vatrack.training.select import best_epoch

MADE = ("checkpoints", "validation", "faults", "state")  # folders that a training makes


class RunFolder:
    """The places of a run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state"

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch_{epoch:02d}.pt"

    def validation(self, epoch: int) -> Path:
        return self.path / "validation" / f"epoch_{epoch:02d}.json"

    def fault(self, epoch: int, batch: int) -> Path:
        return self.path / "faults" / f"epoch_{epoch:02d}_batch_{batch:06d}.json"

    def clear(self) -> None:
        """Removes what an earlier training left: it must not be chosen as this one's best."""
        for leftover in MADE:
            shutil.rmtree(self.path / leftover, ignore_errors=True)

    def put_aside(self) -> Path:
        """Keeps what an interrupted training with other settings made: who changed a key by mistake can bring it back."""
        number = 1
        while (kept := self.path / f"interrupted_{number}").exists():
            number += 1
        kept.mkdir()
        for name in (*MADE, "config.yaml", "metrics.jsonl"):
            if (self.path / name).exists():
                (self.path / name).rename(kept / name)
        return kept

    def keep_best(self, values: Mapping[int, float | None]) -> None:
        """Removes all checkpoints but the last and the best, by epochs and their values."""
        for epoch in values.keys() - {max(values), best_epoch(values)}:
            self.checkpoint(epoch).unlink(missing_ok=True)
