#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../common"
exec "$PEER_VENV/bin/python" "$here/server.py" "$1" "$2"
