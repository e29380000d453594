# Everything runs in .venv, which is set up when it is missing or when its requirements have changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.farspan-ready
OLDEST := 5.17.0
NEWEST := <6

.PHONY: help setup demo test lint docs compat clean

help:
	@echo "make demo     read a long text past the model's window on a fixed budget, ask it, draw the memory"
	@echo "make test     ruff, mypy and every test"
	@echo "make lint     ruff and mypy alone"
	@echo "make docs     write the generated pages and tables again"
	@echo "make compat   the adapter's tests on the oldest and newest supported transformers"
	@echo "make clean    remove what these targets have made"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	$(BIN)/farspan demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python scripts/make_docs.py

compat: .compat/oldest/ready .compat/newest/ready
	.compat/oldest/bin/python -m pytest tests/attention
	.compat/newest/bin/python -m pytest tests/attention

.compat/oldest/ready: SPEC = transformers==$(OLDEST)
.compat/newest/ready: SPEC = transformers$(NEWEST)
.compat/%/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .compat/$*
	grep '^torch==' constraints.txt > .compat/$*/constraints.txt
	.compat/$*/bin/python -m pip install -q -U -c .compat/$*/constraints.txt -e ".[dev]" "$(SPEC)"
	@.compat/$*/bin/python -c "import transformers; print('$*: transformers', transformers.__version__)"
	@touch $@

clean:
	rm -rf $(VENV) .compat .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
