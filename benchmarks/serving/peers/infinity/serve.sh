#!/usr/bin/env bash
# Usage: PEER_VENV=... [INFINITY_ENGINE=torch|optimum] serve.sh MODEL_DIR PORT
#
# https://michaelfeil.github.io/infinity and https://huggingface.co/michaelfeil/bge-small-en-v1.5: "torch" is the
# default engine, "optimum" (ONNX Runtime) the one for ONNX on a CPU. All else is the default: dynamic batches of at
# most 32. "optimum" needs INFINITY_MODEL_WARMUP=false: its warm-up sends 514 tokens to a model that reads 512.
set -euo pipefail
# Waiting OpenMP threads sleep: spinning, they would take the cores from the rest of the server on a small machine.
export DO_NOT_TRACK=1 INFINITY_ANONYMOUS_USAGE_STATS=0 HF_HUB_OFFLINE=1 OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
# "optimum" finds its ONNX file only by a bare name, relative to the working directory.
cd "$1"
exec "$PEER_VENV/bin/infinity_emb" v2 --model-id . --served-model-name intents --engine "${INFINITY_ENGINE:-torch}" \
    --device cpu --batch-size 32 --host 127.0.0.1 --port "$2" --log-level warning
