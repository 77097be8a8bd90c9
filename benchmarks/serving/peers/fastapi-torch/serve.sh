#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Waiting OpenMP threads sleep: spinning, they would take the cores from the rest of the server on a small machine.
export MODEL_DIR="$1" HF_HUB_OFFLINE=1 OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
exec "$PEER_VENV/bin/python" -m uvicorn --app-dir "$here" app:app --host 127.0.0.1 --port "$2" \
    --workers "${PEER_WORKERS:-2}" --log-level warning --no-access-log
