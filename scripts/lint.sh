#!/usr/bin/env bash
# Formatting, lint, types, and the direction of imports; then everything that is not Python.
set -euo pipefail
ruff format --check .
ruff check .
mypy
lint-imports
"$(dirname "$0")/lint_delivery.sh"
