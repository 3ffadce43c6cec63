# One Makefile for people and for CI. `make demo` and `make test` need nothing set up before; the rest follow them.
# The verbs below work on the twin where it is up, and else on the server that KUBECONFIG and the stack name.
SHELL := /bin/bash
.DEFAULT_GOAL := demo
.PHONY: demo test preview up drift lint bench clean
STACK ?= demo

demo:    ## twin, preview and update: the whole main job
	@lab/demo

test:    ## lint, then every test; the ones of the lab on twins of their own, three at once
	@lab/bootstrap
	@$(MAKE) --no-print-directory lint
	@.venv/bin/pytest $(if $(FLOWMASTER_TWIN),,--numprocesses 3 --dist loadfile --no-loadscope-reorder) $(TESTS)

preview: ## what an update would change, and what was changed by hand
	@lab/on-server pulumi preview --stack $(STACK)

up:      ## update; a lock that a killed update left is released first
	@lab/on-server sh -c 'flowmaster unlock --stack $(STACK) && exec pulumi up --stack $(STACK) $(if $(CI),--yes)'

drift:   ## how the server differs from what is declared
	@lab/on-server flowmaster drift --stack $(STACK)

lint:    ## style, types, and the order of the rooms
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache

bench:   ## side-by-side timings
	@lab/bootstrap --group bench
	@.venv/bin/python -m bench

clean:   ## take the twin down and remove all it made
	@lab/lab down
