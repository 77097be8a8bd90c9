#!/usr/bin/env bash
# Build the training image and train a bundle in a container.
set -euo pipefail
unset CDPATH
invoked_from=$PWD
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
. deploy/docker/engine.sh

usage() {
  cat <<TEXT
Build the training image and train a bundle in a container. The bundle is left in a folder of this machine.

Usage: $0 multilabel|multiclass|RECIPE [OPTIONS] [-- OPTIONS OF purport train]

  multilabel                  the sample dataset, several intents per message (recipes/sample.toml)
  multiclass                  the sample dataset, one intent or combination per message (recipes/sample-multiclass.toml)
  RECIPE                      any recipe, by its path

  -c, --container-name NAME   a container that has this name is replaced (default: intent-classifier-training)
  -i, --image-name NAME       name for the image that is built (default: intent-classifier-training)
  -t, --tag TAG               tag of the image (default: latest)
  -d, --device cpu|cuda       cuda passes the GPUs on (default: cpu)
      --data DIRECTORY|NAME   train on the dataset in this folder, or on a public one (default: what the recipe says)
      --results DIRECTORY     folder for bundles (default: bundles)
      --name NAME             name of the bundle (default: the recipe's, with date and time)
  -h, --help                  show this text

Public datasets are looked for in \$PURPORT_DATA_DIR, if it is set, before they are downloaded.

Examples:
  $0 multilabel --image-name intent-classifier-training --container-name intent-classifier-training
  $0 multilabel --data tickets --name tickets -- --set data.valid=0.1 --set data.test=test
  $0 recipes/atis-teacher.toml --device cuda
TEXT
}

words=("$@")
container=intent-classifier-training image=intent-classifier-training data='' results=bundles name=''
read_options "-c --container-name container" "-i --image-name image" "-t --tag tag" "-d --device device" \
  "--data --data data" "--results --results results" "--name --name name" -- "$@"
[ ${#rest[@]} -gt 0 ] || wrong_use "say what to train: multilabel, multiclass or the path of a recipe."
[ ${#rest[@]} = 1 ] || wrong_use "train one thing at a time, not ${rest[*]}."
check_names
arguments=() mounts=()
case ${rest[0]} in
  multilabel) recipe=recipes/sample.toml ;;
  multiclass) recipe=recipes/sample-multiclass.toml ;;
  *)
    file=$(cd "$invoked_from" && cd "$(dirname "${rest[0]}")" 2>/dev/null && pwd)/$(basename "${rest[0]}") || file=''
    [ -f "$file" ] || wrong_use "there is no recipe ${rest[0]}; give multilabel, multiclass or the path of a TOML file."
    mounts+=(--mount "$(bind "$file" "/work/recipes/given.toml" ,readonly)")
    recipe=recipes/given.toml
    ;;
esac
[ -n "$name" ] || name=$(basename "${rest[0]}" .toml)-$(date -u +%Y%m%d-%H%M%S)
[[ $name =~ ^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$ ]] || wrong_use "\"$name\" cannot be the name of a bundle: use letters, digits, _ . and -."
if [ -n "$data" ]; then
  if folder=$(cd "$invoked_from" && cd "$data" 2>/dev/null && pwd); then
    # Under its own name, which the bundle keeps.
    place=$(basename "$folder")
    case $place in recipes | bundles) place=data ;; esac
    mounts+=(--mount "$(bind "$folder" "/work/$place" ,readonly)")
    arguments+=(--set "data.name=./$place")
  elif [[ $data == */* ]]; then
    wrong_use "--data: there is no directory $data."
  else
    arguments+=(--set "data.name=$data")
  fi
fi
if [ -n "${PURPORT_DATA_DIR:-}" ]; then
  datasets=$(cd "$invoked_from" && cd "$PURPORT_DATA_DIR" 2>/dev/null && pwd) ||
    wrong_use "PURPORT_DATA_DIR is $PURPORT_DATA_DIR, and there is no such directory."
  mounts+=(--mount "$(bind "$datasets" /datasets ,readonly)" --env PURPORT_DATA_DIR=/datasets)
fi
if [ "$device" = cuda ]; then mounts+=(--gpus all); fi

need_engine
build_image deploy/docker/training.Dockerfile
# Files in the results belong to whoever calls; where root calls, to the owner of the folder, and a new folder to the
# image's user. A rootless engine maps its own root to whoever calls.
[[ $results == /* ]] || results=$invoked_from/$results
user=$(id -u):$(id -g)
if [ "$user" = 0:0 ]; then
  [ -d "$results" ] || { mkdir -p "$results" && chown 65532:65532 "$results"; }
  user=$(stat -c %u:%g "$results")
fi
if [[ $(docker info --format '{{.SecurityOptions}}') == *rootless* ]]; then user=0:0; fi
mkdir -p "$results"
results=$(cd "$results" && pwd)
if is_replaced; then docker rm --force "$container" >/dev/null; fi
watch_over_container
terminal=()
if [ -t 1 ]; then terminal=(--tty); fi
how_to_resume() {
  local word=() again=() options=()
  [ -d "$results/$name.run" ] || return 0
  for word in "${words[@]}"; do
    if [ "$word" = -- ]; then break; fi
    again+=("$word")
  done
  options=(${engine_options[@]+"${engine_options[@]}"})
  [[ " ${options[*]-} " == *" --resume "* ]] || options+=(--resume)
  say "To resume, run: $(printf '%q ' "$0" "${again[@]}" --name "$name" -- "${options[@]}")"
}
# In the background, so that a signal to this script is not kept waiting until the training ends.
docker run --name "$container" --init --stop-signal INT ${terminal[@]+"${terminal[@]}"} --read-only --tmpfs /tmp \
  --cap-drop ALL --security-opt no-new-privileges --user "$user" ${mounts[@]+"${mounts[@]}"} \
  --mount "$(bind "$results" /work/bundles)" "$image:$tag" train "$recipe" --out "bundles/$name" \
  ${arguments[@]+"${arguments[@]}"} ${engine_options[@]+"${engine_options[@]}"} &
status=0
wait $! || status=$?
if [ "$status" = 0 ]; then
  docker rm --force "$container" >/dev/null
  keep_container
else
  exit "$status"
fi
cat <<TEXT
The bundle is in $results/$name. Serve it:

  $(dirname "$0")/RUN_DOCKER_INFERENCE.sh --port 9000 --model-path $(printf %q "$results/$name")
TEXT
