#!/usr/bin/env bash
# What a release gives the build of its image, as outputs of a workflow step: the same values as build_image in
# deploy/docker/engine.sh, so that both builds give the same image. Registries take lower-case names only.
set -euo pipefail
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
printf '%s\n' \
  "name=ghcr.io/$(tr '[:upper:]' '[:lower:]' <<<"$GITHUB_REPOSITORY_OWNER")/intent-classifier-inference" \
  "version=${GITHUB_REF_NAME#v}" \
  "revision=$(git rev-parse HEAD)" \
  "epoch=$epoch" \
  "created=$(date --utc --date "@$epoch" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$epoch" +%Y-%m-%dT%H:%M:%SZ)"
