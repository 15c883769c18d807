# Forwards only: ./up and ./test are the commands, since a fresh Debian has no make.
.PHONY: setup up test lint bench
setup:
	@./up --setup
up:
	@./up
test:
	@./test
lint: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
bench: setup
	@.venv/bin/mocban bench all
