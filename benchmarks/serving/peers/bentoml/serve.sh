#!/usr/bin/env bash
# Usage: PEER_VENV=... serve.sh MODEL_DIR PORT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../common" MODEL_DIR="$1" BENTOML_DO_NOT_TRACK=1
exec "$PEER_VENV/bin/python" -m bentoml serve service:Intents --working-dir "$here" --host 127.0.0.1 --port "$2"
