# What RUN_DOCKER_INFERENCE.sh and RUN_DOCKER_TRAINING.sh share; sourced by them, with `usage` defined.
# shellcheck shell=bash
export DOCKER_BUILDKIT=1
container_made=''

say() { printf '%s\n' "$*" >&2; }
fail() { say "$0: $*"; exit 1; }
wrong_use() { say "$0: $*"; say "Try: $0 --help"; exit 2; }

# read_options "SHORT LONG VARIABLE" … -- ARGUMENT …: sets the variables; what is left stands in `rest`, what follows a
# second -- in `engine_options`. Both `--long value` and `--long=value` are read.
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
  [[ $image =~ ^[a-z0-9]+([._/:-]+[a-z0-9]+)*$ ]] || wrong_use "\"$image\" cannot be the name of an image: use lower-case letters, digits, . _ - and /."
  [[ $tag =~ ^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$ ]] || wrong_use "\"$tag\" cannot be a tag: use letters, digits, _ . and -."
  [[ $device =~ ^(cpu|cuda)$ ]] || wrong_use "--device is cpu or cuda, not \"$device\"."
}

need_engine() {
  command -v docker >/dev/null || fail "docker is not installed; see https://docs.docker.com/engine/install/."
  docker info >/dev/null 2>&1 || fail "the Docker engine does not answer; start it, or set DOCKER_HOST."
  docker buildx version >/dev/null 2>&1 || fail "docker buildx is missing; install the package docker-buildx (or docker-buildx-plugin)."
}

# The commit's time goes into every file, so that the same commit gives the same image.
build_image() { # DOCKERFILE
  local revision epoch
  revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
  say "Building $image:$tag (the first time takes a minute or more) ..."
  docker build --file "$1" --tag "$image:$tag" --build-arg DEVICE="$device" --build-arg VERSION="$tag" \
    --build-arg REVISION="$revision" --build-arg SOURCE_DATE_EPOCH="$epoch" \
    --build-arg CREATED="$(date --utc --date "@$epoch" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$epoch" +%Y-%m-%dT%H:%M:%SZ)" . >&2 ||
    fail "the image could not be built."
}

remove_old_container() {
  docker container inspect "$container" >/dev/null 2>&1 || return 0
  say "Replacing the container $container."
  docker rm --force "$container" >/dev/null
}

# From here on, whatever ends the script before `keep` removes the container that it made.
watch_over_container() {
  container_made=yes
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'remove_failed_container' EXIT
}
remove_failed_container() {
  local status=$?
  if [ -n "$container_made" ]; then docker rm --force "$container" >/dev/null 2>&1 || true; fi
  exit "$status"
}
keep_container() { container_made=''; }
