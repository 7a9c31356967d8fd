"""What to install where a library that only an extra brings is missing."""

from __future__ import annotations

# Module: (its name for people, the extra of pyproject.toml that brings it).
EXTRAS = {
    "matplotlib": ("Matplotlib", "report"),
    "mlflow": ("MLflow", "mlflow"),
    "pandas": ("pandas", "report"),
    "submitit": ("submitit", "cluster"),
}


def is_missing(module: str, error: ImportError) -> bool:
    """Whether an import failed because this module is not installed, not because it is broken."""
    return isinstance(error, ModuleNotFoundError) and error.name == module


def install_hint(error: ImportError) -> str | None:
    """What to install after a failed import.

    Returns:
        For example "MLflow is not installed; pip install 'vatrack[mlflow]'"; None where no library
        of an extra is missing.
    """
    module = (error.name or "").split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or module not in EXTRAS:
        return None
    title, extra = EXTRAS[module]
    return f"{title} is not installed; pip install 'vatrack[{extra}]'"
