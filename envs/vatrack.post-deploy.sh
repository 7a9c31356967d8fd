#!/usr/bin/env bash
# Runs inside the new conda environment, with the repository as the working directory.
set -euo pipefail
[ -f requirements.lock ] || { echo "run Snakemake from the repository's folder: requirements.lock is not here" >&2; exit 1; }
uv pip install --quiet --python "$CONDA_PREFIX/bin/python" --requirement requirements.lock
uv pip install --quiet --python "$CONDA_PREFIX/bin/python" --no-deps --editable .
