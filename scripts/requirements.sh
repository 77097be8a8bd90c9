#!/usr/bin/env bash
# Pin every dependency of every environment to requirements.txt (used as constraints by all installs).
set -euo pipefail
pip-compile --quiet --strip-extras --no-emit-find-links --no-emit-index-url --all-extras --allow-unsafe \
  --output-file requirements.txt "$@" pyproject.toml
# A local build label (torch 2.13.0+cpu) is the machine's choice, not the project's.
sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' requirements.txt
# The extras that name other extras bring the project itself in, as a path.
sed -i '/^purport @ /,/^[^ ]/{/^purport @ /d;/^    #/d}' requirements.txt
