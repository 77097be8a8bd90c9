#!/usr/bin/env bash
# Install the Debian packages whose programs the tests start, where they are missing. Whoever is not root needs sudo.
set -euo pipefail
missing=()
# The pages are tested in a real browser, metrics and alerts with a real Prometheus, the
# contract behind a real nginx and a real HAProxy; strace watches what commands do.
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium fonts-dejavu-core)
command -v promtool >/dev/null || missing+=(prometheus)
command -v strace >/dev/null || missing+=(strace)
# Debian has both in /usr/sbin, which is not in everybody's PATH.
[ -x /usr/sbin/nginx ] || missing+=(nginx-light)
[ -x /usr/sbin/haproxy ] || missing+=(haproxy)
[ ${#missing[@]} -gt 0 ] || exit 0
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
