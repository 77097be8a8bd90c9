#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../common" MLSERVER_MODEL_URI="$1" MLSERVER_HTTP_PORT="$2" \
    MLSERVER_GRPC_PORT=$(($2 + 1)) MLSERVER_METRICS_PORT=$(($2 + 2)) MLSERVER_PARALLEL_WORKERS="${PEER_WORKERS:-1}"
exec "$PEER_VENV/bin/mlserver" start "$here"
