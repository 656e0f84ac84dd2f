# What contributors run; CONTRIBUTING.md says more. `make` alone is the fast loop.
.PHONY: fast test slow lint ci

fast: # while you edit: under a minute
	pytest -n 2 -m "not slow and not e2e"

test: # before you send a change: what the README's second command runs
	pytest -n 2

slow: # tests that take minutes each
	pytest -m slow

lint:
	ruff check .
	ruff format --check .
	lint-imports --no-logo pyproject.toml

ci: # all of it, in a fresh clone
	CI=true bash .ci/run
