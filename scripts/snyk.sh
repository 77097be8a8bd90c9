#!/usr/bin/env bash
# Scan an image with Snyk; without SNYK_TOKEN say so and succeed. .snyk holds what is ignored, and why.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:?usage: scripts/snyk.sh IMAGE}
# Azure Pipelines passes a variable that is not defined as its own name, $(SNYK_TOKEN).
# shellcheck disable=SC2016
case "${SNYK_TOKEN:-}" in '' | '$('*)
  echo "No Snyk scan: SNYK_TOKEN is not set."
  exit 0
  ;;
esac
exec npx --yes snyk@1.1307.4 container test "$image" --file=deploy/docker/inference.Dockerfile --policy-path=.snyk \
  --severity-threshold=high
