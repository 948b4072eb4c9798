# Each target makes what it needs: a fresh machine with Python 3.11+ and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := shared vision nlp recsys demos tests bench
HOST ?= 127.0.0.1
PORT ?= 7860
DATA ?= $(or $(TRIPTYCH_DATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit test-slow test-torch test-cluster bench bench-nlp deploy-lint docs browser constraints clean

help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Triptych needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# One stamp an extra; it is older than the files that say what to install when those change.
$(VENV)/.%.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[$*]'
	touch $@

demo: $(VENV)/.demos.stamp ## install the light suite and serve the pages on PORT
	$(BIN)/triptych demo --host $(HOST) --port $(PORT)

test: lint types unit ## lint, types, import contracts, unit, contract, doc and end-to-end tests

lint: $(VENV)/.dev.stamp ## style, format, import contracts
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports

types: $(VENV)/.dev.stamp ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.dev.stamp browser ## all fast tests, doctests and end-to-end tests with real weights
	$(BIN)/pytest

APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends

browser: ## a headless Chromium for the page tests, OpenMP and OpenGL for LightGBM and tracking; said and skipped without
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { $(APT) chromium fonts-dejavu-core >/dev/null; } \
	  || echo "no Chromium here and none could be installed: the page tests will be skipped"
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { $(APT) libgomp1 >/dev/null; } \
	  || echo "no OpenMP library here and none could be installed: the tests of LightGBM will be skipped"
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libGL.so.1")' 2>/dev/null || { $(APT) libgl1 libglib2.0-0 >/dev/null; } \
	  || echo "no OpenGL library here and none could be installed: the tracking tests will be skipped"

test-torch: $(VENV)/.dev.stamp $(VENV)/.torch.stamp $(VENV)/.ultralytics.stamp $(VENV)/.optimize.stamp $(VENV)/.spacy.stamp ## exports, training, optimising, spaCy: what needs torch or spaCy (some 7 GB)
	$(BIN)/pytest -m '(torch or spacy) and not slow' tests/vision tests/nlp tests/recsys

test-cluster: $(VENV)/.dev.stamp $(VENV)/.cluster.stamp ## jobs, serving and retraining on Ray (240 MB): two nodes on this machine, one of which is killed
	$(BIN)/pytest tests/batch/test_batch_ray.py tests/serving/test_ray.py tests/lifecycle/test_retrain_recommender.py

test-slow: $(VENV)/.dev.stamp browser ## the long checks: kills, soaks, full data sets
	$(BIN)/pytest -m slow --override-ini addopts='--import-mode=importlib --strict-markers --strict-config'

bench: $(VENV)/.bench.stamp ## every speed and quality figure beside its peer; DATA names the folder of data sets
	$(BIN)/python bench/pictures.py --images $(DATA)/vision/coco128/images
	$(BIN)/python bench/batch.py --images $(DATA)/vision/coco128/images
	$(BIN)/python bench/batch.py --memory
	$(BIN)/python bench/batch.py --workers 2 --count 4000 --repeats 3
	$(BIN)/python bench/serving.py
	$(BIN)/python bench/serving.py --overload
	$(BIN)/python bench/serving.py --stop
	$(BIN)/python bench/serving.py --long
	$(BIN)/python bench/faces.py --images $(DATA)/vision/lfw_fold1/lfw
	$(BIN)/python bench/faces.py --gallery
	$(BIN)/python bench/text.py --data $(DATA)
	$(BIN)/python bench/readers.py --data $(DATA)
	$(BIN)/python bench/entities.py --data $(DATA)
	$(BIN)/python bench/entities.py --data $(DATA) --quality
	$(BIN)/python bench/answers.py --data $(DATA)
	$(BIN)/python bench/answers.py --data $(DATA) --speed
	$(BIN)/python bench/answers.py --data $(DATA) --pdf
	$(BIN)/python bench/recommendation.py --data $(DATA)/recsys/ml-100k/ml-100k
	$(BIN)/python bench/training.py --data $(DATA)
	$(BIN)/python bench/learning.py --data $(DATA)
	$(BIN)/python bench/precision.py
	$(BIN)/python bench/recommenders.py
	$(BIN)/python bench/ranking_figures.py
	$(BIN)/python bench/offpolicy.py
	$(BIN)/python bench/hybrid.py --data $(DATA)/recsys/ml-100k/ml-100k
	$(BIN)/python bench/cold_start.py --data $(DATA)/recsys/ml-100k/ml-100k
	$(BIN)/python bench/recsys_load.py
	$(BIN)/python bench/ratings.py --data $(DATA)/recsys/ml-100k/ml-100k
	$(BIN)/python bench/sequences.py --data $(DATA)/recsys/amazon_video_seq
	$(BIN)/python bench/experiments.py
	$(BIN)/python bench/experiments.py --only story
	$(BIN)/python bench/experiments.py --rows 4000000
	$(BIN)/python bench/experiments.py --rows 4000000 --exposures
	$(BIN)/python bench/life_cycle.py --data $(DATA)

# scripts under bench/ run with their folder first in the path: one called nlp.py would hide the package
bench-nlp: $(VENV)/.bench.stamp ## language beside its peers, one thread; DATA names the data sets, CHECKPOINT a classifier
	$(if $(CHECKPOINT),$(BIN)/python bench/text_labels.py --data $(DATA) --checkpoint $(CHECKPOINT) --threads 1)
	$(BIN)/python bench/entities.py --data $(DATA) --threads 1
	$(BIN)/python bench/readers.py --data $(DATA) --threads 1
	$(BIN)/python bench/translation.py --data $(DATA)/nlp/multi30k --model en-xx-captions --target fr --threads 1

deploy-lint: $(VENV)/.deploy.stamp ## what deploys the server: Dockerfile, compose files, Kubernetes manifests
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/yamllint -c deploy/.yamllint.yaml --strict deploy
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/compose.keys.yaml
	$(BIN)/kubernetes-validate --strict deploy/kubernetes/*.yaml

docs: $(VENV)/.dev.stamp ## run every command block of README.md and docs/
	$(BIN)/pytest tests/docs -m 'slow or not slow' --override-ini addopts='--import-mode=importlib --strict-markers --strict-config'

constraints: ## renew constraints.txt with the newest versions that work together
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install -q '.[dev,bench]'
	{ echo "# The exact versions that the gate and the benchmarks use. Renew with 'make constraints'."; \
	  build/constraints/bin/python -m pip freeze --exclude triptych; } > constraints.txt
	rm -rf build/constraints

clean: ## remove the environment and the caches of the tools
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
