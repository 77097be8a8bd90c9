#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../common" RAY_USAGE_STATS_ENABLED=0
export RAY_SERVE_THROUGHPUT_OPTIMIZED=1 RAY_SERVE_ENABLE_HA_PROXY="${RAY_SERVE_ENABLE_HA_PROXY:-1}"
exec "$PEER_VENV/bin/python" "$here/server.py" "$1" "$2"
