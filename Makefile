# Every target sets up what it needs, from nothing; a second run is quick.
#   make demo                    from nothing to crates in ./crates
#   make up                      a local Globus Compute in containers, the examples, and their crates in ./crates
#   make down                    take it away; crates stay
#   make test                    all tests that this machine can run, but for long ones; says what it skipped
#   make test-long               the long ones: the same at scale
#   make test-stack              the local endpoint as a whole, with faults in every part of it
#   make test-314                the unit tests with Python 3.14, which root on Debian need not have; ARGS names others
#   make check                   lint, format, types, spelling, shell, YAML, Ansible
#   make man                     a man page per command, in build/man
#   make site                    the documentation as a site, in build/site
#   make release KEY=SSH-KEY     wheel and source archive, reproducible, described and signed (SECURITY.md)
#   make ansible                 Ansible for the roll-out (docs/rollout.md), in an environment of its own
#   make PYTHON=/path/to/python3.12 VENV=.venv-3.12 test      with another interpreter

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
VALIDATOR_VENV ?= .venv-validator
RUNCRATE_VENV ?= .venv-runcrate
ANSIBLE_VENV ?= .venv-ansible
FLOWCEPT_VENV ?= .venv-flowcept
GLOBUS_CLI_VENV ?= .venv-globus-cli
GLADIER_VENV ?= .venv-gladier
MPI_VENV ?= .venv-mpi
MLFLOW_VENV ?= .venv-mlflow
TORCH_VENV ?= .venv-torch
JUPYTER_VENV ?= .venv-jupyter
# The oldest releases whose work is recorded; the newest ones are in the two above.
MLFLOW_OLDEST_VENV ?= .venv-mlflow-3.0
TORCH_OLDEST_VENV ?= .venv-torch-2.5
# The oldest release of Dask whose tasks are recorded; the newest one is in $(VENV).
DASK_VENV ?= .venv-dask-2024.10
SBOM_VENV ?= .venv-sbom
DOCS_VENV ?= .venv-docs
# The oldest release of Globus Compute that is supported; the newest one is in $(VENV).
OLDEST ?= 4.15.0
OLDEST_VENV ?= .venv-$(OLDEST)
BIN := $(VENV)/bin
# Processes of pytest. Many tests wait more than they compute: a few more than there are CPUs.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? 2 * n : n + 4)))
# Groups in the order of tests/conftest.py, what waits first: by itself pytest-xdist starts with the groups of most tests,
# and the longest ones, of few, are left for the end.
PARALLEL = -n $(JOBS) --dist loadgroup --no-loadscope-reorder
CRATES ?= crates
KEY ?=
ARGS ?=
# Systems on which the package is installed and run by tests/containers. 0: leave this machine's Docker as it is.
BASES := debian:bookworm-slim debian:trixie-slim rabbitmq:4.0-management
SETUP_DOCKER ?= 1
STACK_TESTS := tests/containers/stack tests/integration/service

# Else each of the thousands of processes that tests start would compile again what it imports of src.
unexport PYTHONDONTWRITEBYTECODE
export PYTHON
export PROV_WORKER_VALIDATOR ?= $(CURDIR)/$(VALIDATOR_VENV)/bin/python
export PROV_TEST_OLDEST ?= $(CURDIR)/$(OLDEST_VENV)/bin/python
export PROV_TEST_FLOWCEPT ?= $(CURDIR)/$(FLOWCEPT_VENV)/bin/python
export PROV_TEST_GLOBUS_CLI ?= $(CURDIR)/$(GLOBUS_CLI_VENV)/bin/globus
export PROV_TEST_GLADIER ?= $(CURDIR)/$(GLADIER_VENV)/bin/python
export PROV_TEST_ANSIBLE ?= $(CURDIR)/$(ANSIBLE_VENV)/bin
export PROV_TEST_MLFLOW ?= $(CURDIR)/$(MLFLOW_VENV)/bin/python
export PROV_TEST_TORCH ?= $(CURDIR)/$(TORCH_VENV)/bin/python
export PROV_TEST_MLFLOW_OLDEST ?= $(CURDIR)/$(MLFLOW_OLDEST_VENV)/bin/python
export PROV_TEST_TORCH_OLDEST ?= $(CURDIR)/$(TORCH_OLDEST_VENV)/bin/python
export PROV_TEST_DASK ?= $(CURDIR)/$(DASK_VENV)/bin/python
export PROV_TEST_JUPYTER ?= $(CURDIR)/$(JUPYTER_VENV)/bin/python
export PROV_TEST_MPI ?= $(CURDIR)/$(MPI_VENV)/bin
export PROV_TEST_CYCLONEDX ?= $(CURDIR)/$(SBOM_VENV)/bin/python
export PROV_TEST_RUNCRATE ?= $(CURDIR)/$(RUNCRATE_VENV)/bin/runcrate

.PHONY: help cyclonedx venv docs-venv validator runcrate ansible flowcept globus-cli gladier mpi libraries mlflow mlflow-oldest torch torch-oldest dask jupyter oldest wheels containers programs system setup demo up down test test-long test-stack test-oldest test-ansible test-314 check format bench flow-figures fuzz findings lock sbom site man release clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

venv:
	@scripts/make-venv.sh $(VENV) --lock dev --editable '.[all]' --group dev

validator:
	@scripts/make-venv.sh $(VALIDATOR_VENV) --lock validator --group validator

runcrate:
	@scripts/make-venv.sh $(RUNCRATE_VENV) --lock runcrate --group runcrate

# Validates bills of materials, and makes those of a release.
cyclonedx:
	@scripts/make-venv.sh $(SBOM_VENV) --lock sbom --group sbom

flowcept:
	@scripts/make-venv.sh $(FLOWCEPT_VENV) --group flowcept

# Clients of the rehearsed Globus Flows, for its long tests: they pin what this package has otherwise.
globus-cli:
	@scripts/make-venv.sh $(GLOBUS_CLI_VENV) --group globus-cli

gladier:
	@scripts/make-venv.sh $(GLADIER_VENV) --editable '.[gladier]'

mpi:
	@scripts/make-venv.sh $(MPI_VENV) --group mpi

# Libraries that tasks use, as tests of what is recorded of them need them: large, each in an environment of its own.
mlflow:
	@scripts/make-venv.sh $(MLFLOW_VENV) --editable '.[endpoint]' --group mlflow

torch:
	@scripts/make-venv.sh $(TORCH_VENV) --editable . --group torch accelerate lightning "$$(scripts/cpu-torch.sh)"

# It says that it runs with any SQLAlchemy 2, and imports a name that 2.1 has no more.
mlflow-oldest:
	@scripts/make-venv.sh $(MLFLOW_OLDEST_VENV) --editable '.[cli]' 'mlflow==3.0.*' scikit-learn 'sqlalchemy<2.1'

# Without a build for CPUs in pip's own settings it brings 5 GB of CUDA.
torch-oldest:
	@scripts/make-venv.sh $(TORCH_OLDEST_VENV) --editable . 'torch==2.5.*' accelerate 'numpy<3'

dask:
	@scripts/make-venv.sh $(DASK_VENV) --editable . 'distributed==2024.10.0' dask-jobqueue

# Runs the notebook of the examples.
jupyter:
	@scripts/make-venv.sh $(JUPYTER_VENV) --editable '.[cli,endpoint,report,run]' nbconvert ipykernel

# One that cannot be had leaves its tests out, and they say so.
libraries:
	@for library in mlflow mlflow-oldest torch torch-oldest dask jupyter globus-cli gladier; do $(MAKE) $$library || echo "make $$library failed: its tests are left out" >&2; done

ansible:
	@scripts/make-venv.sh $(ANSIBLE_VENV) --lock ansible --group ansible

oldest:
	@scripts/make-venv.sh $(OLDEST_VENV) --editable '.[cli]' --group test 'globus-compute-endpoint==$(OLDEST)'

# What the roll-out's tests install on nodes, of Debian 12: no test needs the network but for builds of images.
wheels: venv
	@PIP_PYTHON=$(BIN)/python scripts/node-wheels.sh 3.11 >/dev/null || echo "tests of the roll-out will say so" >&2

# Docker and the base images for tests/containers, if they are missing and this user may set them up. If not, the
# tests say what they skip, or fail if PROV_TEST_REQUIRE_DOCKER is set.
containers:
	@if [[ "$(SETUP_DOCKER)" == 1 ]]; then scripts/setup-docker.sh && scripts/base-images.sh $(BASES) || true; fi

# Programs that tests use and that pip does not bring. A RabbitMQ is started by each test that needs one, as the user who
# runs the tests, on free ports of loopback.
programs:
	@scripts/install-programs.sh rsync=rsync zsh=zsh sshd=openssh-server ssh=openssh-client chromium=chromium chromedriver=chromium-driver \
		rabbitmq-server=rabbitmq-server mpiexec.openmpi=openmpi-bin mpiexec.mpich=mpich redis-server=redis-server pg_ctlcluster=postgresql fusermount3=fuse3 mkfs.btrfs=btrfs-progs

# One after the other: both ask the system's packages. Images are built once here; builds of tests find all layers.
system:
	@$(MAKE) containers
	@$(MAKE) programs
	@if [[ "$(SETUP_DOCKER)" == 1 ]] && docker buildx version >/dev/null 2>&1; then \
		for stage in worker endpoint; do docker build --quiet --target $$stage . >/dev/null || true; done; fi
# With cgroups v1 all containers together get as much of a CPU as one process beside them: nodes of tests took minutes to start.
	@if [[ "$(SETUP_DOCKER)" == 1 && -w /sys/fs/cgroup/cpu/docker ]]; then \
		echo 8192 >/sys/fs/cgroup/cpu/docker/cpu.shares || true; fi

# All that tests use, beside each other: most of it waits for the network.
setup:
	@$(MAKE) --jobs --output-sync=target venv validator runcrate flowcept cyclonedx mpi ansible oldest wheels system

demo: venv
	@$(BIN)/prov-worker demo --packed --crates $(CRATES) $(ARGS)

up:
	@SETUP_DOCKER=$(SETUP_DOCKER) scripts/stack-up.sh $(ARGS)

down:
	@scripts/stack-down.sh

test: setup
	@$(MAKE) test-oldest
	@$(BIN)/python -m pytest -q $(PARALLEL) -m 'not long' $(ARGS)

test-long: setup libraries
	@$(BIN)/python -m pytest -q $(PARALLEL) -m long $(ARGS)

# The local endpoint as a whole, with broker, service, daemon and SDK: minutes, and faults in all of them.
test-stack: oldest venv validator containers programs
	@$(BIN)/python -m pytest -q $(PARALLEL) $(STACK_TESTS) $(ARGS)

# What depends on Globus Compute's own interfaces, against the oldest release that is supported.
test-oldest: oldest
	@$(OLDEST_VENV)/bin/python -m pytest -q $(PARALLEL) tests/unit/globus tests/integration/test_engine*.py

# Options of the roll-out under the oldest and the newest release of ansible-core that run here: 2.21 needs Python 3.12.
test-ansible: venv ansible
	@scripts/make-venv.sh .venv-ansible-2.17 'ansible-core==2.17.*'
	@if command -v python3.12 >/dev/null && python3.12 --version >/dev/null 2>&1; then \
	  PYTHON=python3.12 scripts/make-venv.sh .venv-ansible-2.21 'ansible-core==2.21.*'; fi
	@PROV_TEST_ANSIBLE_OTHERS=$$(printf '%s:' $(CURDIR)/.venv-ansible-2.*/bin) \
	  $(BIN)/python -m pytest -q tests/rollout/test_booleans.py $(ARGS)

# With a python3.14 in PATH, or, as root on Debian, with that of Debian's next release.
test-314:
	@JOBS=$(JOBS) scripts/test-python-3.14.sh $(ARGS)

docs-venv:
	@scripts/make-venv.sh $(DOCS_VENV) --editable . --group docs

# Any link that leads nowhere, page that no menu has, and docstring that does not fit its signature is an error.
site: docs-venv
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build 2>&1 | { grep -v '^INFO' >&2 || true; }
	@echo "python3 -m http.server --bind 127.0.0.1 --directory build/site"

# By click-man, which knows the commands that a group has loaded.
man: docs-venv
	@$(DOCS_VENV)/bin/python scripts/man_pages.py build/man/man1

check: venv ansible docs-venv
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/yamllint --strict .
	@cd ansible && PATH="$(PROV_TEST_ANSIBLE):$$PATH" ansible-lint --offline --profile production -q --nocolor
	@$(BIN)/shellcheck -x $$(git ls-files .ci tests/rollout/nodes/scrontab-node tests/rollout/nodes/slurm-node tests/schedulers/slurm/cluster/cluster-* tests/schedulers/slurm/cluster/podman-hpc '*.sh')
	@$(BIN)/codespell $$(git ls-files)
	@$(BIN)/vulture
	@$(BIN)/python scripts/duplicates.py
	@$(MAKE) site >/dev/null
	@echo "check: nothing to say"

format: venv
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

bench: venv
	@$(BIN)/python -m benchmarks $(ARGS)

# What docs/flows.md says of checks, triggers and deploying, shown again: definitions and mutations, ways in which data
# arrive, 200 kills, nothing written twice; then CPU times.
flow-figures: venv
	@$(BIN)/python -m pytest -v --no-header -m '' -n 2 \
		tests/unit/flow/test_check.py::test_flows_like_the_published_ones_are_clean \
		tests/unit/flow/test_check.py::test_the_fault_of_the_published_flow_is_found_and_nothing_else \
		tests/unit/flow/test_check.py::test_each_kind_of_mutation_is_found \
		tests/integration/test_trigger.py::test_seven_ways_in_which_data_arrive \
		tests/faults/test_trigger_faults.py::test_each_folder_is_fired_once_over_many_kills \
		tests/integration/service/test_flow_commands.py::test_deploying_twice_writes_once
	@$(BIN)/python -m benchmarks --only flows

# Readers of files that others may have written or damaged, with atheris: ARGS='journal --seconds 600'.
fuzz: venv
	@$(BIN)/python tests/fuzz/fuzz.py $(ARGS)

# How other projects' software behaves, if that was a surprise: each script says what it saw, and fails if that changed.
findings:
	@status=0; for script in findings/*.sh; do echo "== $$script"; "$$script" || status=1; done; exit $$status

# Versions and hashes of all that is in the images (docker/requirements) and of the environments that are made here and
# by the roll-out (requirements); ARGS are options that pip-compile and uv share, such as --upgrade.
lock:
	@scripts/lock-requirements.sh $(ARGS)

# What is in the package and in both images: CycloneDX documents, and tables of licences.
sbom: cyclonedx
	@$(SBOM_VENV)/bin/python scripts/sbom.py $(ARGS)

# Wheel and source archive, built twice and compared, what is in them, and the signed list of it: KEY is an ssh key, or -.
release: sbom
	@PYTHON_RELEASE=$(SBOM_VENV)/bin/python scripts/release.sh $(KEY)

clean:
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
