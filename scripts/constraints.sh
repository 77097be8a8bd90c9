#!/usr/bin/env bash
# Pin every dependency of every environment in constraints.txt, which all installs use with -c. Arguments go to pip-compile.
set -euo pipefail
cd "$(dirname "$0")/.."
pip-compile --quiet --strip-extras --no-emit-find-links --no-emit-index-url --all-extras --allow-unsafe \
  --output-file constraints.txt "$@" pyproject.toml
# A local build label (torch 2.13.0+cpu) is the machine's choice, not the project's.
sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' constraints.txt
