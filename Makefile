# Each target is a script of the same name in scripts/, which says what it does and sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.* ## /  make \1\t/p' Makefile | expand -t 16

demo: ## set everything up and show the agents at work on stand-in services
	@scripts/demo

test: ## every test; the engine is required as root and in CI, and used elsewhere if there
	@scripts/test

check: ## lint, types, import contracts and unit tests; needs no engine
	@scripts/check

bench: ## measure the agents beside their peers
	@scripts/bench

clean: ## remove all that the others made, and stop the engine if it was started from here
	@scripts/clean
