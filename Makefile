# make demo   install into .venv, fit an example and select its covariates
# make test   install into a new environment (.venv-test), with SCIP for the audits and matplotlib for the plots, and
#             run all tests that take no minutes, on two cores
# make lint   ruff, with the environment of `make test`

PYTHON ?= python3

# What to install torch with. A plain `torch` on Linux may be the GPU build (gigabytes) and nlmevae needs the
# CPU only; give pip's arguments for the build you want: make demo TORCH="torch --index-url <CPU builds>"
TORCH ?= torch==2.13.0

PIP_INSTALL = -m pip install -qq --disable-pip-version-check --timeout 60 --retries 5
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test lint clean test-environment

demo: .venv/installed
	.venv/bin/nlmevae fit fixtures/theophylline/run_wt.ctl --seed 1 --out demo
	.venv/bin/nlmevae select fixtures/theophylline/run_base.ctl --covariates WT,SEX --seed 1 --out demo

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP_INSTALL) $(TORCH)
	.venv/bin/python $(PIP_INSTALL) '.[report]'
	touch $@

test: test-environment
	$(ONE_THREAD) .venv-test/bin/python -m pytest -q -n 2 --dist loadfile

test-environment:
	rm -rf .venv-test
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP_INSTALL) $(TORCH)
	.venv-test/bin/python $(PIP_INSTALL) '.[test,dask,pharmpy,scip,report]'

lint:
	.venv-test/bin/ruff check src translators tests
	.venv-test/bin/ruff format --check src translators tests

clean:
	rm -rf .venv .venv-test demo build dist
