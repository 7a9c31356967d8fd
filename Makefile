# Each target sets up what it needs; `make` alone lists the targets.
SHELL := bash
VENV := .venv
INSTALLED := $(VENV)/.installed
# nproc alone would say OMP_NUM_THREADS where that is set.
CORES ?= $(shell env -u OMP_NUM_THREADS nproc)
# Many tests wait for other processes: one worker more than there are cores keeps the cores busy.
WORKERS ?= $(shell expr $(CORES) + 1)
# Options of `make fuzz`.
CASES ?= 10000
SEED ?= 0
ALL_METHODS := [qdtrack,amodaltrack,vatrack,vatrack-2bbox]
# Folder where Snakemake looks up profiles by name.
PROFILES := $(or $(XDG_CONFIG_HOME),$(HOME)/.config)/snakemake
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Containers often keep Python from writing bytecode: every process would compile the package anew,
# and pytest the tests.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo demo-all show ui slurm-profile check test coverage fuzz kill-test \
	lowest lint lint-style lint-types lint-workflow schema bench docs picture hooks clean-results

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(INSTALLED) ## install the locked environment into .venv

$(INSTALLED): requirements.lock pyproject.toml envs/setup
	envs/setup $(VENV)

demo: setup ## run everything on the miniature dataset: from raw frames to tables and report
	@snakemake --cores $(CORES)

demo-all: setup ## the same with all four methods
	@snakemake --cores $(CORES) --config 'methods=$(ALL_METHODS)'

show: ## show the tables of `make demo`
	@[ -d results/mini/tables ] || { echo "results/mini/tables: no such folder; run make demo first" >&2; exit 1; }
	@awk 'FNR == 1 && NR > 1 { print "" } 1' results/mini/tables/{image,video,track}_{amodal,visible}.md

ui: setup ## start the MLflow UI for the runs, without telemetry (PORT=5000)
	vatrack mlflow-ui $(if $(PORT),--port $(PORT))

slurm-profile: ## let `snakemake --profile slurm` use profiles/slurm
	@target="$(CURDIR)/profiles/slurm"; link="$(PROFILES)/slurm"; \
	if [ "$$(readlink -f "$$link")" = "$$(readlink -f "$$target")" ]; then echo "$$link is already linked"; \
	elif [ -e "$$link" ] || [ -L "$$link" ]; then \
		echo "$$link already exists; move it away, or use --profile profiles/slurm" >&2; exit 1; \
	else mkdir -p "$(PROFILES)" && ln -s "$$target" "$$link" && echo "$$link -> $$target"; fi

check: setup ## lint and quick tests, in about three minutes
	@$(MAKE) --no-print-directory --jobs $(CORES) --output-sync lint
	OMP_NUM_THREADS=1 pytest -n $(CORES) -m "not slow and not slurm"

test: setup ## run all tests
	OMP_NUM_THREADS=1 pytest -n $(WORKERS)

coverage: setup ## run all tests and list the lines of vatrack that none runs
	OMP_NUM_THREADS=1 pytest -n $(WORKERS) --cov=vatrack --cov-report=term-missing:skip-covered

fuzz: setup ## fuzz test: damage the input of every command CASES times (default 10000)
	OMP_NUM_THREADS=1 python -m tests.fuzz.run --cases $(CASES) --seed $(SEED)

kill-test: setup ## kill trainings at KILLS=200 random moments and check that they resume (SEED=0)
	OMP_NUM_THREADS=1 python -m tests.training.kills \
		--kills $(or $(KILLS),200) --seed $(SEED)

lowest: setup ## run the quick tests with the lowest versions that pyproject.toml allows (downloads 3 GB)
	tests/lowest_versions .venv-lowest -n $(CORES)

# In parts, which `make check` runs side by side.
lint: lint-types lint-style lint-workflow ## check style, types, imports between packages, workflow

lint-types: setup
	mypy

lint-style: setup
	ruff check .
	ruff format --check .
	lint-imports --no-logo

lint-workflow: setup
	snakefmt --check workflow
	snakemake --lint

schema: setup ## rebuild the config's JSON schema and docs/config.md (after a change of vatrack/config/)
	vatrack config --schema --out workflow/schemas/config.schema.json
	vatrack config --reference --out docs/config.md

bench: setup ## benchmark every stage at a small size against a simple implementation (minutes)
	python -m benchmarks

docs: setup ## build the documentation site: site/index.html
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "documentation: site/index.html"

picture: setup ## rebuild docs/images/tracked.webp from the results of `make demo`
	vatrack overlay --ground-truth results/mini/annotations/valid/joint.json \
		--predictions results/mini/runs/vatrack__resnet18 --images results/mini/clips --clips 7 \
		--out results/mini/picture.png --video results/mini/picture.mp4
	python docs/_site/picture.py results/mini/picture.mp4 81 101 docs/images/tracked.webp

hooks: setup ## check style and types at every commit (pre-commit)
	pre-commit install

clean-results: ## remove the results of `make demo`, except its runs in MLflow
	rm -rf results/mini
