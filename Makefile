# Every target is also possible as plain commands: see CONTRIBUTING.md.
PYTHON ?= python3
VENV ?= .venv
DEVICE ?=
BIN := $(VENV)/bin
export UNDERGLASS_DEVICE := $(or $(DEVICE),$(UNDERGLASS_DEVICE))

.PHONY: book pages test check lab outputs data clean environment environment-dev

book: pages  ## make the environment, fetch the data, run the chapters, build the book, open it
	@$(BIN)/python book/open_book.py

pages: environment
	@$(BIN)/python -m underglass.data chapters
	@echo "[book] running the chapters that changed, and building the pages"
	@$(BIN)/jupyter-book build . -n -W --keep-going --quiet

test: environment-dev data  ## all of DESIGN's checks: lint, types, units, notebooks, pages
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory pages
	@echo "[test] units, stored outputs of every chapter, and the built pages in a browser"
	@$(BIN)/pytest tests --nbval chapters

check: environment-dev  ## the quick part: lint and types
	@echo "[check] lint, format, types"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright

lab: environment  ## the chapters as notebooks
	@$(BIN)/python -m underglass.data chapters
	@$(BIN)/jupyter lab chapters

outputs: environment  ## run every chapter and store the outputs that the tests compare
	@$(BIN)/python -m underglass.data chapters
	@$(BIN)/python book/notebooks.py execute

data: environment  ## all that chapters and tests need
	@$(BIN)/python -m underglass.data

environment:
	@$(PYTHON) book/environment.py --folder $(VENV)

environment-dev:
	@$(PYTHON) book/environment.py --folder $(VENV) --dev
	@PYTHONPATH=book $(BIN)/python tests/colab.py

clean:  ## everything made here; the environment and the fetched data stay
	rm -rf _build .pytest_cache .ruff_cache .hypothesis build lib/*.egg-info
