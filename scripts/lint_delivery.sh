#!/usr/bin/env bash
# Shell scripts, YAML, Dockerfiles and pipelines, tracked or new, of this checkout or the one given. Needs no network.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }
schema() { xargs -0r check-jsonschema --builtin-schema "$@"; }

files '*.sh' .ci/run | xargs -0r shellcheck
files '*.yml' '*.yaml' .snyk | xargs -0r yamllint --strict
files '*.Dockerfile' | xargs -0r hadolint
files '.github/workflows/*.yml' | schema vendor.github-workflows
files '.github/workflows/*.yml' | schema custom.github-workflows-require-timeout
files .github/dependabot.yml | schema vendor.dependabot
files azure-pipelines.yml '.azure/*.yml' | schema vendor.azure-pipelines --data-transform azure-pipelines --regex-variant nonunicode
files 'deploy/compose/*.yaml' | schema vendor.compose-spec
zizmor --offline --quiet --strict-collection .github
