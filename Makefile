# What a fresh machine needs for all of this: Python 3.11 to 3.13 with venv, make, git, and a network for the first run.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTHON ?= $(shell for name in python3 python3.12 python3.11 python3.13; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { command -v "$$name"; break; }; done)
CODE := streamcount tests bench

.PHONY: help demo picture test containers lint types bench score wheel docs pins clean

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## A broker, two cameras, a worker and a live table; Ctrl-C ends all. IMAGES=DIR for your own.
	$(BIN)/streamcount demo $(if $(IMAGES),--images "$(IMAGES)")

picture: $(VENV)/dev.stamp ## The README's picture of the live page, on your own images: IMAGES=DIR.
	$(BIN)/python -m bench.picture "$(IMAGES)" docs/images/page.jpg

# Files of tests are shared among so many processes; the broker's tests mostly wait. JOBS=0 for one after the other.
JOBS ?= 2

test: lint ## All checks and all tests. ARGS="-k name" for some.
	$(BIN)/pytest --durations=10 -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

containers: $(VENV)/dev.stamp ## Build the image, start docker-compose.yml, kill a worker, look at all of it. Needs Docker.
	STREAMCOUNT_TEST_CONTAINERS=1 $(BIN)/pytest tests/integration/test_containers.py $(ARGS)

lint: types ## Style, types and the layers' contracts.
	$(BIN)/ruff check $(wildcard $(CODE))
	$(BIN)/ruff format --check $(wildcard $(CODE))
	$(BIN)/lint-imports

types: $(VENV)/dev.stamp ## The type checker only.
	$(BIN)/mypy

bench: $(VENV)/dev.stamp ## Measure: each stage, frames a second and latency through Kafka, memory.
	$(BIN)/python -m bench $(ARGS)

score: $(VENV)/dev.stamp ## Follow fifteen simulated films and score them against their truth, beside the bars.
	$(BIN)/python -m bench.trial $(ARGS)

wheel: $(VENV)/dev.stamp ## Build dist/*.whl, models inside.
	$(BIN)/python -m hatchling build -t wheel -d dist

docs: $(VENV)/dev.stamp ## Write the generated pages anew: configuration, example, schemas, lifecycle.
	$(BIN)/streamcount check-config --markdown > docs/configuration.md
	$(BIN)/streamcount check-config --example > streamcount.example.toml
	$(BIN)/streamcount schema --write docs/schema
	$(BIN)/python -c 'from streamcount.events.lifecycle import lifecycle_page; print(lifecycle_page(), end="")' \
		> docs/lifecycle.md

# The pins name versions and hashes, never a registry, so that they work with whichever one pip is set up for.
COMPILE = env -u PIP_FIND_LINKS $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url \
	--python-version 3.11 -c requirements/constraints.in --custom-compile-command 'make pins' $(UPGRADE)

pins: $(VENV)/dev.stamp ## Resolve requirements/*.txt anew from pyproject.toml; UPGRADE=--upgrade for newer versions.
	$(COMPILE) --universal --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
	$(COMPILE) --universal -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	$(COMPILE) --universal -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --universal -c requirements/dev.txt --extra dashboard --extra lineage pyproject.toml -o requirements/container.txt
	$(COMPILE) --universal -c requirements/dev.txt --extra broker --extra dashboard pyproject.toml requirements/build.in -o requirements/demo.txt
	$(COMPILE) --universal requirements/peers.in -o requirements/peers.txt
	$(COMPILE) --universal requirements/btrack.in -o requirements/btrack.txt
	$(COMPILE) --universal -c requirements/dev.txt requirements/pages.in -o requirements/pages.txt
	$(COMPILE) --python-platform linux --extra tflite-runtime --no-emit-package ai-edge-litert \
		pyproject.toml -o requirements/tflite-runtime.txt

clean: ## Remove what was built or cached here, the environment too.
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found: install one" \
		"(Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON); the first time takes some minutes."
	"$(PYTHON)" -m venv "$(VENV)"
	touch $@

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(VENV)/python.stamp
	$(PIP_INSTALL) --require-hashes -r requirements/demo.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/python.stamp
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/demo.stamp
