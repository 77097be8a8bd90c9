#!/usr/bin/env bash
# The steps by which an image gets its environment, /opt/purport; called by the Dockerfiles in /build.
#   install.sh libraries EXTRA…   what pyproject.toml asks for, at the versions in constraints.txt
#   install.sh slim               remove what a server never loads
#   install.sh seal               byte code and time stamps of what is installed so far
#   install.sh package            Purport itself, from a wheel built here, and the list of contents (SBOM)
set -euo pipefail
environment=/opt/purport
python=$environment/bin/python

into() { /opt/tools/bin/pip --python "$python" install --quiet --no-compile --find-links wheels -c constraints.txt "$@"; }

libraries() {
  local wanted
  mapfile -t wanted < <("$python" - "$@" <<'PY'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *(line for extra in sys.argv[1:] for line in project["optional-dependencies"][extra]), sep="\n")
PY
  )
  if [[ " $* " == *" train "* ]]; then torch; fi
  if [ "$DEVICE" = cuda ] && [[ " $* " == *" serve "* ]]; then
    # With the CUDA provider and the CUDA libraries themselves; its releases come later than those of onnxruntime.
    wanted=("${wanted[@]/onnxruntime>=*/onnxruntime-gpu[cuda,cudnn]==1.31.1}")
  fi
  into "${wanted[@]}"
}

torch() {  # the index's own torch for Linux brings CUDA
  local pin
  pin=$(grep '^torch==' constraints.txt)
  if compgen -G 'wheels/torch-*.whl' >/dev/null; then
    into --no-index --no-deps "$pin"
  elif [ "$DEVICE" = cpu ]; then
    into --no-deps --index-url https://download.pytorch.org/whl/cpu "$pin"
  fi
}

slim() {  # tests and tools of libraries, and what tokenizers needs only to fetch from a hub
  /opt/tools/bin/pip --python "$python" uninstall --quiet --yes huggingface-hub hf-xet fsspec httpx2 httpcore2 filelock tqdm pyyaml
  find "$environment" -type d -name tests -path '*/numpy/*' -prune -exec rm -rf {} +
  rm -rf "$environment"/lib/python3*/site-packages/onnxruntime/{tools,transformers,quantization}
}

# Without time stamps in byte code, and the same one on every file, the same versions give the same bytes.
seal() { # [EPOCH [FOLDER]]
  "$python" -m compileall -q -f -j 0 -x '/torch/testing/' --invalidation-mode unchecked-hash "${2:-$environment/lib}"
  find "$environment" -newermt "@${1:-0}" -exec touch --no-dereference --date "@${1:-0}" {} +
}

package() {
  /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
  into --no-deps dist/*.whl
  mkdir -p "$environment/share"
  /opt/tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
    --output-file "$environment/share/sbom.cdx.json" "$python"
  seal "$SOURCE_DATE_EPOCH" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/purport"
}

"$@"
