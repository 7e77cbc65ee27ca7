# Verbs for people and CI alike. Each sets up what it needs (tools/setup) and is quick when that is done.

help: ## show the verbs
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

demo: ## the example app in two copies: http://dumbflix.localhost:8080 (Ctrl-C ends it)
	@tools/setup run
	@tools/dashboard --if-able >/dev/null 2>&1 &
	@exec .venv/bin/gapura demo $(ARGS)

dashboard: ## build the dashboard (make demo does, where Node is there)
	@tools/setup dev
	@tools/dashboard

test: ## the tests that every change must pass (some minutes)
	@tools/test -m "not full" $(ARGS)

test-full: ## those and the long ones: soak, many kills, real peers under load
	@tools/test $(ARGS)

lint: ## style, types and floors
	@tools/setup dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: ## the documents as a site in ./site (python3 -m http.server -d site shows it)
	@tools/setup dev
	@.venv/bin/python tools/docs

bench: ## compare with nginx, HAProxy, Caddy, lighttpd and Apache on this machine; results go to bench/results
	@tools/setup dev
	@! command -v cc >/dev/null || tools/compile
	@bench/run $(ARGS)

clean: ## remove everything that the other verbs made
	rm -rf .venv dashboard/node_modules src/gapura/control/dashboard .gapura gapura-demo dist build site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .compiled
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo dashboard test test-full lint docs bench clean
