# `make` runs the tiny experiment and compares its two recipes; `make help` lists everything.
SHELL := bash
.DEFAULT_GOAL := experiment
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

PROFILES := $(sort $(basename $(notdir $(wildcard profiles/*.yaml))))
A ?= baseline
B ?= blip2
N ?= 3
RUNS ?= $(A) $(B)
GIT_REMOTE ?= origin
# As it was typed, for a shell within single quotes: paths have apostrophes, passwords have dollars.
QUOTED_R = $(subst ','\'',$(value R))

.PHONY: experiment venv models profile rehearse compare seeds placebo remote share pull pull-scores gc results lock test unit lint format audit bench foundry clean help

experiment: $(READY)  ## run the recipes baseline and blip2, compare them (the default)
	@python -m recap.experiments.headline baseline blip2

venv: $(READY)  ## create .venv if it is missing or stale

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	{ echo "error: expected Python 3.11 or 3.12, found $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.11" >&2; exit 1; }
	@test ! -L $(VENV) || \
	{ echo "error: $(VENV) is a link to an environment that is not ready; it would be cleared for whoever else uses it: remove the link" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

models: $(READY)  ## download the hub models that params.yaml names, at their pinned revisions
	@python -m recap.models.hub --params params.yaml

profile: $(READY)  ## put another scale's parameters in place, keep the old ones: make profile P=mgm-2b
	@test -n "$(P)" || { echo "error: which profile? make profile P=NAME, where NAME is one of: $(PROFILES)" >&2; exit 1; }
	@test -f "profiles/$(P).yaml" || { echo "error: profiles/$(P).yaml: no such profile; there are: $(PROFILES)" >&2; exit 1; }
	@n=1; while test -e "params.old-$$n.yaml"; do n=$$((n + 1)); done; \
	cp params.yaml "params.old-$$n.yaml" && cp "profiles/$(P).yaml" params.yaml && \
	echo "params.yaml is now profiles/$(P).yaml; what it was is params.old-$$n.yaml"
	@python -m recap.models.hub --params params.yaml --check

rehearse: $(READY)  ## will a profile fit its GPU? with FLAGS=--real, how long will it take: make rehearse P=mgm-2b
	@python -m recap.rehearsal --params $(if $(P),"profiles/$(P).yaml",params.yaml) $(FLAGS)

compare: $(READY)  ## verdict between runs, lists of seeds welcome: make compare A=baseline,baseline-s43 B=blip2,blip2-s43
	@python -m recap.comparison $(A) $(B) $(FLAGS); code=$$?; test $$code -eq 0 || test $$code -eq 3 || exit $$code; \
	python -m recap.reporting.comparison $(A) $(B) $(filter --force,$(FLAGS)) && exit $$code

seeds: $(READY)  ## train the missing seeds of two recipes, compare them: make seeds N=3 A=baseline B=blip2
	@python -m recap.experiments.seeds --seeds "$(N)" "$(A)" "$(B)"

placebo: N = 1
placebo: $(READY)  ## was it content? placebo recipes beside baseline and blip2, in one table; with words: make placebo N=3
	@python -m recap.experiments.placebo --seeds "$(N)"

remote: $(READY)  ## where artifacts lie for everybody, see docs/SHARING.md: make remote R=s3://bucket/path
	@test -n '$(QUOTED_R)' || { echo "error: which remote? make remote R=URL, as docs/SHARING.md says" >&2; exit 1; }
	@python -m recap.experiments.sharing.remote '$(QUOTED_R)' $(FLAGS)

share: $(READY)  ## push branch, experiments and their artifacts, say what a stranger types: make share RUNS="baseline blip2"
	@python -m recap.experiments.sharing.push --git-remote "$(GIT_REMOTE)" $(RUNS) $(FLAGS)

pull: $(READY)  ## get shared experiments, the last into the workspace: make pull RUNS="baseline blip2"
	@python -m recap.experiments.sharing.pull --git-remote "$(GIT_REMOTE)" $(RUNS) $(FLAGS)

pull-scores: $(READY)  ## get of shared experiments only what make compare reads
	@python -m recap.experiments.sharing.pull --git-remote "$(GIT_REMOTE)" --scores $(RUNS) $(FLAGS)

gc: $(READY)  ## how much of the cache nothing needs any more; away with it: make gc FLAGS=--remove
	@python -m recap.experiments.sharing.gc --git-remote "$(GIT_REMOTE)" $(FLAGS)

results: $(READY)  ## write the result tables of README.md and docs/RESULTS.md from docs/results/
	@python -m recap.reporting.results

lock: $(READY)  ## pin every package anew in requirements.txt, for Python 3.11 and 3.12; what is pinned stays unless it must move
	uv pip compile --quiet --universal --python-version 3.11.0 $(addprefix --extra ,deepspeed ray remotes dev) \
	  --output-file requirements.txt $(FLAGS) pyproject.toml

test: lint  ## lint, types, then every test, fast ones first
	python -m pytest
	python -m pytest -m slow --durations=15

unit: $(READY)  ## the fast tests alone
	python -m pytest

lint: $(READY)  ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: $(READY)  ## let ruff format the code
	ruff check --fix .
	ruff format .

audit: $(READY)  ## known vulnerabilities, licences and secrets; needs pip install ".[audit]", offline: make audit FLAGS=--offline
	python audit/dependencies.py $(FLAGS)
	python audit/secret_scan.py

bench: $(READY)  ## time the reading of corpora, captioning, a training step, its samples and the preparation of images; see bench/README.md
	python bench/corpus.py
	python bench/captioning.py
	OMP_NUM_THREADS=1 python bench/training.py
	OMP_NUM_THREADS=1 python bench/loading.py
	OMP_NUM_THREADS=1 python bench/preprocessing.py

foundry: $(READY)  ## retrain the models of models/tiny from nothing (a good hour)
	cd foundry && PATH="$(CURDIR)/$(VENV)/bin:$$PATH" dvc repro
	rm -rf models/tiny && cp -RL foundry/models models/tiny && chmod -R u+w models/tiny

clean:  ## remove scratch work and caches; results, the DVC cache and .venv stay
	rm -rf .scratch .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14
