# Forwards only: ./up and ./test are the commands, since a fresh Debian has no make.
.PHONY: setup up test test-all test-lab system-packages lint bench
setup:
	@./up --setup
up:
	@./up
test:
	@./test
test-all:
	@./test --all
test-lab: system-packages setup
	@MOCBAN_ALL=1 .venv/bin/pytest tests/lab
system-packages:
	@./system-packages
lint: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
bench: setup
	@.venv/bin/mocban bench all
