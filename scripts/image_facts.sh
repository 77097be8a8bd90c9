#!/usr/bin/env bash
# What a release gives the build of its image, as outputs of a workflow step: the values of deploy/docker/engine.sh, so that
# both builds give the same image. Registries take lower-case names only.
set -euo pipefail
# shellcheck source=deploy/docker/engine.sh
. "$(dirname "${BASH_SOURCE[0]}")/../deploy/docker/engine.sh"
read_commit
printf '%s\n' \
  "name=ghcr.io/$(tr '[:upper:]' '[:lower:]' <<<"$GITHUB_REPOSITORY_OWNER")/intent-classifier-inference" \
  "version=${GITHUB_REF_NAME#v}" \
  "revision=$revision" \
  "epoch=$epoch" \
  "created=$created"
