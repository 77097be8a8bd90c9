#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../common" MODEL_DIR="$1"
exec "$PEER_VENV/bin/python" -m uvicorn --app-dir "$here" app:app --host 127.0.0.1 --port "$2" \
    --workers "${PEER_WORKERS:-2}" --log-level warning --no-access-log
