#!/usr/bin/env bash
# Every benchmark of serving, one after the other, on an otherwise idle machine; needs wrk, nginx, HAProxy and the ATIS data.
# PEERS is where the peers' environments are made (several GB), TEACHER a bundle of recipes/atis-teacher.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=${PEERS:-runs/peers} teacher=${TEACHER:-bundles/atis-teacher} results=results/serving
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
[ -d "$teacher" ] || purport train recipes/atis-teacher.toml --out "$teacher"
[ -d bundles/atis-linear ] || purport train recipes/atis-linear.toml --out bundles/atis-linear
python benchmarks/serving/engine.py --teacher "$teacher" --output $results/engine.json
python benchmarks/serving/load.py --output $results/load.json
python benchmarks/serving/load.py --bundle "$teacher" --output $results/load-teacher.json
python benchmarks/serving/peers.py --environments "$peers" --output $results/peers.json
python benchmarks/serving/overload.py --output $results/overload.json
python benchmarks/serving/soak.py atis "$teacher" bundles/atis-linear --output $results/soak.json
for proxy in nginx haproxy; do
  python benchmarks/serving/soak.py atis "$teacher" bundles/atis-linear --proxy $proxy --output $results/soak_$proxy.json
done
python benchmarks/serving/start.py --output $results/start.json
python benchmarks/serving/hostile.py --output $results/hostile.json
python benchmarks/serving/report.py
python benchmarks/autoscaler.py
python scripts/capacity.py
