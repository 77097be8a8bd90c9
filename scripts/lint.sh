#!/usr/bin/env bash
# Formatting, lint, types, and the direction of imports.
set -euo pipefail
ruff format --check .
ruff check .
mypy
lint-imports
