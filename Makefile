# One Makefile for people and for CI. `make demo` and `make test` need nothing set up before; the rest follow them.
# The verbs below work on the twin where it is up, and else on the server that KUBECONFIG and the stack name.
SHELL := /bin/bash
.DEFAULT_GOAL := demo
.PHONY: demo check test preview up drift bench clean
STACK ?= demo
# whose tools `check` runs: those of the clone, or of the environment that `lab/check` makes for another Python
BIN ?= .venv/bin/
# a process of pytest for each core, and a twin for each of those as far as memory goes (tests/lab/conftest.py)
TWINS := $(if $(FLOWMASTER_TWIN),,--numprocesses auto --dist loadfile --no-loadscope-reorder)

demo:    ## twin, preview and update: the whole main job
	@lab/demo

.venv/bin/pytest:
	@lab/bootstrap --no-twin

check: .venv/bin/pytest ## style, types, dependencies, the order of the rooms, and every test that needs no twin
	@$(BIN)ruff check .
	@$(BIN)ruff format --check --quiet .
	@$(BIN)deptry .
	@$(BIN)mypy
	@$(BIN)lint-imports --no-cache >/dev/null || $(BIN)lint-imports --no-cache
	@$(BIN)pytest --numprocesses auto --ignore tests/lab

test:    ## check, then every test on twins of its own, several at once
	@lab/bootstrap
	@$(MAKE) --no-print-directory check
	@lab/check --packages
	@.venv/bin/pytest $(TWINS) $(or $(TESTS),tests/lab)

preview: ## what an update would change, and what was changed by hand
	@lab/on-server pulumi preview --stack $(STACK)

up:      ## update; a lock that a killed update left is released first
	@lab/on-server sh -c 'flowmaster unlock --stack $(STACK) && exec pulumi up --stack $(STACK) $(if $(CI),--yes)'

drift:   ## how the server differs from what is declared
	@lab/on-server flowmaster drift --stack $(STACK)

bench:   ## side-by-side timings
	@lab/bootstrap --group bench
	@.venv/bin/python -m bench

clean:   ## take the twin down and remove all it made
	@lab/lab down
