"""The colours of runs and methods: in plots, on pages, in MLflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour as #rrggbb: `light` is for white paper and light pages, `dark` for dark ones."""

    light: str
    dark: str

    @property
    def deep(self) -> str:
        """A darker one of the same hue, on white."""
        channels = (int(self.light[start : start + 2], 16) for start in (1, 3, 5))
        return "#" + "".join(f"{round(0.65 * value):02x}" for value in channels)


# After Okabe and Ito, told apart with every common form of colour blindness; their yellow is too
# pale on white, their purple and orange are darker here, and their black is a grey.
COLOURS = (
    Colour("#0072b2", "#4ea5dd"),  # blue
    Colour("#d55e00", "#ff8a3d"),  # vermilion
    Colour("#009e73", "#2fc79b"),  # green
    Colour("#b8618f", "#e08fbd"),  # purple
    Colour("#56b4e9", "#8fd0f7"),  # sky blue
    Colour("#c88a00", "#f0b93a"),  # orange
    Colour("#5b5f66", "#b4b9c1"),  # grey
    Colour("#8c6d1f", "#c9a651"),  # brown
)
