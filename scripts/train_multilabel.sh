#!/usr/bin/env bash
# ATIS with several intents per utterance; every parameter in sight, each is a key of the recipe.
# Arguments are passed on, e.g. scripts/train_multilabel.sh --overwrite --set fit.epochs=3
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PURPORT:-.venv/bin/purport}" train recipes/atis-teacher.toml --out "${OUT:-bundles/atis-multilabel}" \
  --set seed=0 \
  --set data.name=atis \
  --set data.valid=0.1 \
  --set data.test=test \
  --set model.name=minilm \
  --set model.pooling=mean \
  --set model.max_length=64 \
  --set adapter.method=lora \
  --set adapter.rank=16 \
  --set adapter.alpha=32 \
  --set fit.epochs=10 \
  --set fit.batch_size=32 \
  --set fit.learning_rate=1e-3 \
  --set fit.head_learning_rate=1e-3 \
  --set fit.class_weight=balanced \
  --set fit.compose=0.1 \
  --set decide.calibration=temperature \
  --set decide.thresholds=per-label \
  --set export.quantize=auto \
  "$@"
