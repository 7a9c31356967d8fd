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
    """Whether an import failed because this package, or a part of it, is not installed; not because
    it is broken."""
    return isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == module


def install_hint(error: ImportError) -> str | None:
    """What to install after a failed import.

    Returns:
        For example "MLflow is not installed; pip install 'vatrack[mlflow]'"; None where no library
        of an extra is missing.
    """
    for module, (title, extra) in EXTRAS.items():
        if is_missing(module, error):
            return f"{title} is not installed; pip install 'vatrack[{extra}]'"
    return None
