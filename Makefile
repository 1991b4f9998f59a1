# The jobs are in tools/dev.py, which needs nothing but Python; these are their short names.
#   make demo                              train the digits network with Flambeau
#   make test ARGS="tests/cli -k run"      arguments for the job
#   make PYTHON=python3.12 test            another Python (remove .venv first: make clean)

PYTHON ?= python3
ARGS ?=

JOBS := demo test parity lint types soak audit bench suite guard site clean

.DEFAULT_GOAL := help
.PHONY: help ci $(JOBS)

help:
	@$(PYTHON) tools/dev.py 2>&1 || true

$(JOBS):
	@$(PYTHON) tools/dev.py $@ $(ARGS)

ci:
	@PYTHON=$(PYTHON) .ci/run
