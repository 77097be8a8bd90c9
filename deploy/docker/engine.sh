# What RUN_DOCKER_INFERENCE.sh and RUN_DOCKER_TRAINING.sh share; sourced by them, with `usage` defined.
# shellcheck shell=bash disable=SC2034
export DOCKER_BUILDKIT=1
# The options that both have, and what is left of the arguments.
container='' image='' tag=latest device=cpu rest=() engine_options=()
container_made='' set_aside='' was_running=''

say() { printf '%s\n' "$*" >&2; }
fail() { say "$0: $*"; exit 1; }
wrong_use() { say "$0: $*"; say "Try: $0 --help"; exit 2; }

# Sets variables from arguments: read_options "SHORT LONG VARIABLE" ... -- ARGUMENTS
# An option without a short form repeats the long one. `rest` gets the other words, `engine_options` what follows a
# second --. Both `--long value` and `--long=value` are read.
read_options() {
  local known=() row short long variable given value
  while [ "$1" != -- ]; do known+=("$1"); shift; done
  shift
  rest=() engine_options=()
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --) shift; engine_options=("$@"); return ;;
      -*) ;;
      *) rest+=("$1"); shift; continue ;;
    esac
    given=$1 value='' variable=''
    [[ $given == --*=* ]] && value=${given#*=} given=${given%%=*}
    for row in "${known[@]}"; do
      read -r short long variable <<<"$row"
      if [ "$given" = "$short" ] || [ "$given" = "$long" ]; then break; else variable=''; fi
    done
    [ -n "$variable" ] || wrong_use "there is no option $given."
    if [[ $1 != --*=* ]]; then
      [ $# -gt 1 ] || wrong_use "$given needs a value."
      value=$2; shift
    fi
    [ -n "$value" ] || wrong_use "$given needs a value."
    printf -v "$variable" %s "$value"
    shift
  done
}

check_names() {
  [[ $container =~ ^[a-zA-Z0-9][a-zA-Z0-9_.-]+$ ]] || wrong_use "\"$container\" cannot be the name of a container: use letters, digits, _ . and -."
  [[ $image =~ ^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$ ]] || wrong_use "\"$image\" cannot be the name of an image: use lower-case letters, digits, . _ - and /."
  [[ $tag =~ ^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$ ]] || wrong_use "\"$tag\" cannot be a tag: use letters, digits, _ . and -."
  [[ $device =~ ^(cpu|cuda)$ ]] || wrong_use "--device is cpu or cuda, not \"$device\"."
}

need_engine() {
  command -v docker >/dev/null || fail "docker is not installed; see https://docs.docker.com/engine/install/."
  local problem
  problem=$(docker info 2>&1 >/dev/null) ||
    fail "the Docker engine does not answer; start it, set DOCKER_HOST, or ask for the right to use it. Docker says: $problem"
  docker buildx version >/dev/null 2>&1 || fail "docker buildx is missing; install the package docker-buildx (or docker-buildx-plugin)."
}

# Sets what an image says of its commit. The commit's time goes into every file, so that the same commit gives the same
# image; scripts/image_facts.sh gives a release the same values.
read_commit() {
  revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  if [ -n "$(git status --porcelain 2>/dev/null)" ]; then revision+=-dirty; fi
  epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
  created=$(date --utc --date "@$epoch" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$epoch" +%Y-%m-%dT%H:%M:%SZ)
}

build_image() { # DOCKERFILE
  local revision epoch created
  read_commit
  say "Building $image:$tag (the first time takes a minute or more) ..."
  docker build --file "$1" --tag "$image:$tag" --build-arg DEVICE="$device" --build-arg VERSION="$tag" \
    --build-arg REVISION="$revision" --build-arg SOURCE_DATE_EPOCH="$epoch" --build-arg CREATED="$created" . >&2 ||
    fail "the image could not be built."
}

# A folder or file of this machine in the container, whatever its name: bind SOURCE TARGET [,readonly]
bind() { printf 'type=bind,"source=%s",target=%s%s' "${1//\"/\"\"}" "$2" "${3:-}"; }

# Whether there is a container of that name, and says that it will be replaced.
is_replaced() { docker container inspect "$container" >/dev/null 2>&1 && say "Replacing the container $container."; }

# From here on, whatever ends the script before `keep_container` removes the container that it made, and brings back the
# one that was set aside, running if it was.
watch_over_container() {
  container_made=yes
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'remove_failed_container' EXIT
}
set_aside_old_container() {
  is_replaced || return 0
  was_running=$(docker inspect --format '{{.State.Running}}' "$container")
  set_aside=$container-replaced
  docker rm --force "$set_aside" >/dev/null 2>&1 || true
  docker stop "$container" >/dev/null
  docker rename "$container" "$set_aside"
}
remove_failed_container() {
  local status=$?
  trap '' HUP INT TERM # a second Ctrl-C must not stop the cleaning up
  if [ -n "$container_made" ]; then
    # Ctrl-C reached it already; a signal to this script alone did not.
    for _ in $(seq 30); do is_running || break; sleep 0.1; done
    if is_running; then docker stop --time 5 "$container" >/dev/null 2>&1 || true; fi
    docker rm --force "$container" >/dev/null 2>&1 || true
    if [ -n "$set_aside" ]; then
      docker rename "$set_aside" "$container"
      if [ "$was_running" = true ]; then docker start "$container" >/dev/null && say "The old container runs again."; fi
    fi
  fi
  if [ "$status" -gt 128 ] && declare -F how_to_resume >/dev/null; then how_to_resume; fi
  exit "$status"
}
keep_container() {
  container_made=''
  if [ -n "$set_aside" ]; then docker rm --force "$set_aside" >/dev/null; fi
}
is_running() { [ "$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null)" = true ]; }
