# Every task of this project: `make` lists them. Each is a script, which has more options.
.DEFAULT_GOAL := help
.PHONY: help check fix test one where thorough agents hostile oldest unlocked
.PHONY: docs site recordings bench lock demo wheel release

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | \
	  awk -F '\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

check: ## lint, format, types, layers, generated pages, locks
	scripts/check

fix: ## the same, after mending what can be mended
	scripts/check --fix

test: ## the whole suite
	scripts/test

one: ## one test, a file or a folder: make one TEST=tests/runs/test_logs.py
	scripts/test -n 0 $(TEST)

where: ## what in the code and the tests is about a word: make where WORD=retry
	scripts/where $(WORD)

thorough: ## the suite, also what takes hours
	scripts/test --thorough

agents: ## the real agent programs and gh, against stand-ins of their servers
	scripts/test --agents

hostile: ## the suite in surroundings where nothing is as it should be
	scripts/test --hostile

oldest: ## checks and suite with the oldest dependencies that are allowed
	scripts/check --oldest
	scripts/test --oldest

unlocked: ## checks and suite with the newest dependencies
	scripts/check --unlocked
	scripts/test --unlocked

docs: ## write the generated parts of the documentation, and wrap its prose
	scripts/venv dev
	.venv/bin/python scripts/cli_docs.py
	.venv/bin/python scripts/map.py --write
	.venv/bin/python scripts/test_index.py
	.venv/bin/python scripts/prose.py --fix

site: ## build the site of the documentation, and check its links
	scripts/docs

recordings: ## record the sessions of a terminal that the documentation shows
	scripts/venv dev
	.venv/bin/python scripts/recordings.py

bench: ## what maverick costs, against its targets; scripts/bench peers has more stores
	scripts/bench

lock: ## lock the dependencies after pyproject.toml has changed
	scripts/lock

demo: ## kill a workflow, resume it, compare and collect, in under a minute
	scripts/demo

wheel: ## build the distributions, install the wheel and run a workflow with it
	scripts/wheel

release: check thorough hostile agents wheel ## what RELEASING.md asks for before a tag
