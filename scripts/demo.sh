#!/usr/bin/env bash
# Serve the bundle that ships with Purport on port 9000, ask it three things, stop it.
set -euo pipefail
port=${PORT:-9000}
log=$(mktemp)
purport serve --port "$port" 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT

for _ in $(seq 200); do
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  [ "$(curl -s "http://127.0.0.1:$port/ready" || true)" = OK ] && break
  sleep 0.1
done

ask() {
  printf '\n\033[1m%s\033[0m\n' "$1"
  curl -sS --fail-with-body "http://127.0.0.1:$port/intent" -H 'Content-Type: application/json' -d "{\"text\": \"$1\"}"
  echo
}
echo "Serving the bundle atis on http://127.0.0.1:$port (POST /intent, GET /ready)"
ask "find me a flight that flies from Memphis to tacoma"
ask "flights from boston to denver on friday and what they cost"
ask "what does the fare code q mean"
cat <<'TEXT'

Next steps:
  .venv/bin/purport serve --port 9000                       keep it running
  .venv/bin/purport predict atis "flights to boston"        answer on the command line, with the decided labels
  .venv/bin/purport data                                    the public datasets and their licences
  .venv/bin/pip install -c constraints.txt -e '.[train]'    then: purport train recipes/sample-linear.toml --out bundles/sample
TEXT
