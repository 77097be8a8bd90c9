#!/usr/bin/env bash
# Run each component from the wheel, alone in an environment with the oldest versions that pyproject.toml admits.
# Arguments name components (inference, serve, eval, sign); without any all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python -m build --wheel --outdir "$folder" . >/dev/null
wheel=$(echo "$folder"/*.whl)
for component in "${@:-inference serve eval sign}"; do for name in $component; do
  extra=${name/inference/}
  python scripts/lowest.py ${extra:+"$extra"} >"$folder/constraints.txt"
  python -m venv "$folder/$name"
  "$folder/$name/bin/pip" install -q -c "$folder/constraints.txt" "$wheel${extra:+[$extra]}"
  "$folder/$name/bin/python" "tests/components/$name.py"
  echo "$name works with $(grep -c . "$folder/constraints.txt") lowest versions"
done; done
