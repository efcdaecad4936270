# `make run` measures, `make test` tests; both set up what they need first. `make help` lists every target.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev
OTAVA := .venv-otava

# VERBS, and FLAGS_verb for each: its flags, as variables here. Generated.
include workflows/cli/variables.mk

# What verb $(1) takes. ENVIRONMENT is set for other programs on many machines, and the lab has only one.
taken = $(filter-out $(if $(filter run plan preflight,$(1)),ENVIRONMENT),$(FLAGS_$(1)))
export $(sort $(foreach verb,$(VERBS),$(call taken,$(verb))))

# What reaches a verb in another way than by a flag.
OTHERS_preflight := NAMESPACE IMAGE
OTHERS_configure := NAMESPACE IMAGE
OTHERS_settle := NAMESPACE IMAGE
OTHERS_restore := NAMESPACE IMAGE

# What each target takes: flags of its verb, and behind | what reaches it in another way.
TAKES := $(foreach verb,$(VERBS),$(verb):$(call taken,$(verb)) | $(OTHERS_$(verb));) image:| IMAGE BASE; \
  chaos:CONTEXT NAMESPACE DATAPLANES TOPOLOGIES ROUNDS SEED RESULTS | POINTS FAULTS ONLY OUTCOMES MINUTES AGAIN TOGETHER RETRIED; \
  chaos-table:| OUTCOMES DOCUMENT; bench-guard:CONTEXT NAMESPACE | MINUTES PAIRS; test:| PYTEST; \
  gallery:RUN RESULTS | ENTRY; fuzz:| FUZZ_INPUTS PYTEST; bench-sensitivity:| FLAGS; bench-cpu:| FLAGS;

# Variables in the command line, not those of the environment. make would ignore a misspelt one and run the default.
override GIVEN := $(strip $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
quoted = '$(subst ','\'',$(1))'
# $(call refusal,PYTHON): what is wrong with them, checked by any Python
refusal = $(1) -I ./workflows/flags/make_variables.py $(call quoted,$(or $(MAKECMDGOALS),help)) $(call quoted,$(TAKES)) $(call quoted,$(GIVEN))
ifneq ($(GIVEN),)
  ifneq ($(shell command -v $(firstword $(PYTHON))),)
    REFUSED := $(shell $(call refusal,$(PYTHON)))
    $(if $(REFUSED),$(error $(REFUSED)))
  else # on a fresh machine setup.sh installs Python: check them after that
    refuse_late = @refused=$$($(call refusal,$(BIN)/python)); [ -z "$$refused" ] || { echo "$$refused" >&2; exit 2; }
  endif
  # As it was typed: without this make would read $HOME in SQL='...' as its own variable H and the letters OME. It exports
  # an overridden variable only if told to.
  $(foreach name,$(filter $(subst ;, ,$(subst :, ,$(TAKES))),$(GIVEN)),$(eval override export $(name) := $$(value $(name))))
endif

# Credentials in an address would stand in the argument vector of a program: they are refused before there is one.
authority = $(if $(filter s3://% S3://%,$(value RESULTS)),$(word 2,$(subst /, ,$(subst ://, ,$(value RESULTS)))))
keys := ?access_key= &access_key= ?secret_key= &secret_key=
ifneq ($(strip $(foreach key,$(keys),$(findstring $(key),$(value RESULTS))) $(findstring @,$(authority))),)
  $(error RESULTS has credentials in it: give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by the file that AWS_SHARED_CREDENTIALS_FILE names)
endif

# The steps' variables, for the verbs that run a step against a cluster
export BENCHMARK_NAMESPACE ?= $(NAMESPACE)
export BENCHMARK_IMAGE ?= $(IMAGE)

# $(call flagged,MODULE WORDS,NAMES): a program, with a flag for each of these variables that is set
flagged = flags=(); for name in $(2); do [ -z "$${!name:-}" ] || { flag=$${name,,}; flags+=("--$${flag//_/-}=$${!name}"); }; done; \
  exec $(BIN)/python -m $(1) "$${flags[@]}"

# $(call command,VERB): the verb with its flags. NOTIFY_URL, which is a secret, is read from the environment.
command = $(call flagged,workflows $(1),$(filter-out NOTIFY_URL,$(call taken,$(1))))

.PHONY: help
help: ## List every target in a line each.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | \
	  while IFS=$$'\t' read -r target does; do printf '%-18s %s\n' "$$target" "$$does"; done

.PHONY: run
run: $(RUN_READY) ## Measure and report: make run PROFILE=smoke DATAPLANES=lab-iptables,lab-ebpf TOPOLOGIES=pod-to-pod SEED=7 RESULTS=/somewhere
	@$(call command,run)

.PHONY: plan
plan: $(RUN_READY) ## Print what a run would measure, in which order and how long it would take; takes the flags of run.
	@$(call command,plan)

.PHONY: preflight
preflight: $(RUN_READY) ## Print what this machine lacks for a run, and the remedy; takes the flags of run.
	@$(call command,preflight)

.PHONY: image
image: ## Build the steps' image with docker, podman or buildah: make image IMAGE=registry/dataplane-benchmark:0.1.0 BASE=python:...@sha256:...
	@for builder in docker podman buildah; do \
	  if command -v $$builder >/dev/null; then exec $$builder build $(if $(BASE),--build-arg BASE="$(BASE)") --tag "$(or $(IMAGE),dataplane-benchmark:0.1.0)" .; fi; \
	done; echo "None of docker, podman and buildah is on PATH, and one of them is needed to build an image." >&2; exit 2

.PHONY: deploy
deploy: $(RUN_READY) ## Deploy the benchmark to a cluster with Argo: make deploy CONTEXT=prod IMAGE=registry/name:tag RESULTS=s3://bucket
	@$(call command,deploy)

.PHONY: submit
submit: $(RUN_READY) ## Run on a cluster and watch: make submit CONTEXT=prod PROFILE=quick DATAPLANES=iptables,ebpf
	@$(call command,submit)

.PHONY: undeploy
undeploy: $(RUN_READY) ## Delete from a cluster what deploy created, but not the results: make undeploy CONTEXT=prod
	@$(call command,undeploy)

.PHONY: configure
configure: $(RUN_READY) ## Switch a cluster's dataplane by hand: make configure ENVIRONMENT=prod DATAPLANE=ebpf DRY_RUN=true
	@$(call command,configure)

.PHONY: settle
settle: $(RUN_READY) ## Wait for the proof of a dataplane on a cluster: make settle ENVIRONMENT=prod DATAPLANE=ebpf
	@$(call command,settle)

.PHONY: restore
restore: $(RUN_READY) ## Restore a cluster to its state before a run that was terminated: make restore ENVIRONMENT=prod
	@$(call command,restore)

.PHONY: import
import: $(RUN_READY) ## Import what other tools measured: make import FILES=folder NAME=itnext PATTERN='{dataplane}/{visit}/{topology}.json'
	@$(call command,import)

.PHONY: report
report: $(RUN_READY) ## Write the report of a stored run again: make report RUN=name (default: the latest).
	@$(call command,report)

.PHONY: compare
compare: $(RUN_READY) ## Compare two runs, or all of two labels: make compare A=latest~1 B=latest, or A=label=before B=label=after
	@$(call command,compare)

.PHONY: site
site: $(RUN_READY) ## Write static pages of all runs, or bring them up to date: make site RESULTS=s3://bucket SITE=/srv/www (default: in the store).
	@$(call command,site)

.PHONY: query
query: $(RUN_READY) ## Query the store: make query SQL="select * from runs", or make query QUESTION=trend.
	@$(call command,query)

.PHONY: shell
shell: $(RUN_READY) ## Open an SQL prompt over the store's views.
	@$(call command,shell)

# As many processes as tests/distribution.py says. -n 0 is none.
PARALLEL := --numprocesses=auto

.PHONY: test
test: check ## Run every test and check that can run here; prints which could not.
	@$(BIN)/python -m pytest $(PARALLEL) --reruns=1 $(PYTEST)

.PHONY: fuzz
fuzz: export FUZZ_INPUTS ?= 100000
fuzz: $(DEV_READY) ## Try 100,000 damaged inputs on each reader, and print the outcomes: make fuzz FUZZ_INPUTS=1000000
	@$(BIN)/python -m pytest tests/fuzz $(PARALLEL) $(PYTEST)

.PHONY: check
check: $(DEV_READY) ## Lint, types, the import contract, stale manifests or reference, and whether all tests can be loaded.
	@# Loading the tests also compiles them, once for all processes of `make test`.
	@$(BIN)/python -m pytest --collect-only -qq >$(VENV)/loaded-tests 2>&1 & loading=$$!; \
	  $(BIN)/ruff check .; \
	  $(BIN)/ruff format --check .; \
	  $(BIN)/mypy; \
	  $(BIN)/lint-imports; \
	  $(BIN)/python -m workflows.template.render --check; \
	  $(BIN)/python -m analysis.report.reference --check; \
	  $(BIN)/python -m analysis.report.vega --check; \
	  wait $$loading || { cat $(VENV)/loaded-tests >&2; exit 1; }

.PHONY: manifests
manifests: $(RUN_READY) ## Generate again what follows from the code: workflows/manifests/, docs/ and the variables here.
	@$(BIN)/python -m workflows.template.render
	@$(BIN)/python -m workflows.cli.reference
	@$(BIN)/python -m analysis.report.reference
	@$(BIN)/python -m analysis.report.vega

.PHONY: gallery
gallery: $(RUN_READY) ## Write an entry of docs/gallery from a stored report, with pictures of it (needs Chromium): make gallery ENTRY=lab RESULTS=/somewhere
	@$(call flagged,analysis.report.gallery,ENTRY RUN RESULTS)

.PHONY: bpf
bpf: $(DEV_READY) ## Compile the eBPF programs again (needs clang and libbpf-dev).
	@$(BIN)/python -m steps.cluster.lab.bpf

.PHONY: bench-overhead
bench-overhead: $(RUN_READY) ## What a step costs beyond its own work, and measured over wall seconds of a run.
	@$(BIN)/python -m benchmarks.step_overhead
	@$(BIN)/python -m benchmarks.efficiency

.PHONY: bench-fidelity
bench-fidelity: $(RUN_READY) ## Figures as the store has them, measured by the workflow's own step, against bare iperf3 and sockperf.
	@$(BIN)/python -m benchmarks.fidelity

.PHONY: bench-latency
bench-latency: $(RUN_READY) ## What our own probe adds to a time that it takes, against sockperf on loopback: half a minute
	@$(BIN)/python -m benchmarks.probe_overhead

.PHONY: bench-sensitivity
bench-sensitivity: $(RUN_READY) ## Do profiles find what they promise, and twins stay the same: simulated, a minute; then in the lab, some 15 minutes, less with FLAGS=--rounds=12
	@$(BIN)/python -m benchmarks.simulations.sensitivity
	@$(BIN)/python -m benchmarks.lab_sensitivity $(FLAGS)

.PHONY: bench-verdicts
bench-verdicts: $(RUN_READY) ## What verdicts find and how often they hold, by simulation: those of 0.1.0 against the present ones, and of compare; 4 minutes
	@$(BIN)/python -m benchmarks.simulations.verdicts
	@$(BIN)/python -m benchmarks.simulations.contrasts

.PHONY: bench-changes
bench-changes: $(RUN_READY) $(OTAVA)/.ready ## What change detection finds from night to night, against Apache Otava on the same series: 3 minutes
	@$(BIN)/python -m benchmarks.simulations.changes $(OTAVA)/bin/python

# Apache Otava pins another numpy, and has an environment of its own.
$(OTAVA)/.ready: benchmarks/otava/requirements.lock | $(RUN_READY)
	@$(BIN)/python -m venv $(OTAVA)
	@$(OTAVA)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --requirement $<
	@touch $@

.PHONY: bench-cpu
bench-cpu: $(RUN_READY) ## How busy the machine is by the kernel's accounts, against the lost progress of soakers: 10 minutes on a quiet machine
	@$(BIN)/python -m benchmarks.cpu.calibration $(FLAGS)

.PHONY: bench-scale
bench-scale: $(DEV_READY) ## Trend, report and comparison on a store of 1,000 runs and 10 million samples, against DuckDB by hand, and the trend of a slow bucket: 3 minutes
	@$(BIN)/python -m benchmarks.large_stores.scale

.PHONY: bench-site
bench-site: $(RUN_READY) ## Write the site of a store of 1,000 runs, then again, then after one more night: some 3 minutes
	@$(BIN)/python -m benchmarks.large_stores.site

.PHONY: bench-guard
bench-guard: $(RUN_READY) ## What the guard of a cluster costs a day, in CPU seconds and API calls: make bench-guard CONTEXT=prod MINUTES=5 PAIRS=6
	@$(call flagged,benchmarks.guard_cost,CONTEXT NAMESPACE MINUTES PAIRS)

.PHONY: chaos
chaos: $(RUN_READY) ## Strike runs on a real cluster at every step by every fault: make chaos KUBECONFIG=/somewhere FAULTS=faults.toml MINUTES=60
	@$(call flagged,benchmarks.chaos,CONTEXT NAMESPACE DATAPLANES TOPOLOGIES ROUNDS SEED RESULTS POINTS FAULTS ONLY OUTCOMES MINUTES AGAIN TOGETHER RETRIED)

.PHONY: chaos-table
chaos-table: $(RUN_READY) ## What the points of chaos came to so far, as Markdown, without a cluster: make chaos-table DOCUMENT=chaos.md
	@$(call flagged,benchmarks.chaos.document,OUTCOMES DOCUMENT)

# One version of a package for every Python, and for runs the one that the tests have tried.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: lock
lock: $(DEV_READY) ## Pin the newest allowed packages with their hashes.
	@$(COMPILE) --group dev pyproject.toml --output-file requirements-dev.lock
	@$(COMPILE) --constraints requirements-dev.lock pyproject.toml --output-file requirements.lock
	@echo apache-otava==0.8.0 | $(COMPILE) - --output-file benchmarks/otava/requirements.lock

.PHONY: clean
clean: ## Delete the virtual environment and all caches; results stay.
	rm -rf $(VENV) $(OTAVA) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(RUN_READY): requirements.lock setup.sh
	@./setup.sh run '$(PYTHON)' $(VENV) requirements.lock >&2
	@touch $@
	$(refuse_late)

$(DEV_READY): requirements-dev.lock setup.sh
	@./setup.sh test '$(PYTHON)' $(VENV) requirements-dev.lock >&2
	@touch $@ $(RUN_READY)
	$(refuse_late)
