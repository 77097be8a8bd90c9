#!/usr/bin/env bash
# Build the inference image and serve a model in a container.
set -euo pipefail
unset CDPATH
invoked_from=$PWD
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
. deploy/docker/engine.sh

usage() {
  cat <<TEXT
Build the inference image and serve a model in a container.

Usage: $0 [OPTIONS] [-- OPTIONS OF docker run]

  -p, --port PORT             port on this machine (default: 8000)
  -c, --container-name NAME   a container that has this name is replaced (default: intent-classifier-inference)
  -i, --image-name NAME       name for the image that is built (default: intent-classifier-inference)
  -t, --tag TAG               tag of the image (default: latest)
  -m, --model-path DIRECTORY  a bundle to serve (default: the ATIS bundle that ships with Purport)
  -d, --device cpu|cuda       cuda passes the GPUs on (default: cpu)
      --host ADDRESS          address of this machine to listen on; 0.0.0.0 for all (default: 127.0.0.1)
  -h, --help                  show this text

PURPORT_* variables of your shell are settings of the server ("purport config" lists them), for example PURPORT_API_KEYS.
The options above replace PURPORT_PORT, PURPORT_HOST, PURPORT_DEVICE and PURPORT_BUNDLE.

Examples:
  $0 --port 9000 --container-name intent-classifier-inference --image-name intent-classifier-inference --tag v1.1 --device cpu
  $0 -p 9000 -m bundles/tickets
  $0 -p 9000 -- --cpus 2 --memory 1g
TEXT
}

container=intent-classifier-inference image=intent-classifier-inference port=8000 model='' host=127.0.0.1
read_options "-p --port port" "-c --container-name container" "-i --image-name image" "-t --tag tag" \
  "-m --model-path model" "-d --device device" "--host --host host" -- "$@"
[ ${#rest[@]} = 0 ] || wrong_use "\"${rest[0]}\" is not an option; options of docker run follow --."
check_names
if ! [[ $port =~ ^[0-9]{1,5}$ ]] || ((10#$port < 1 || 10#$port > 65535)); then
  wrong_use "--port is a number from 1 to 65535, not \"$port\"."
fi
[ "$host" != localhost ] || host=127.0.0.1
[[ $host =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}$ || $host =~ ^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$ ]] || wrong_use "--host is an IP address, not \"$host\"."
[ -z "${PURPORT_BUNDLE:-}" ] || wrong_use "PURPORT_BUNDLE is set and names a bundle of this machine; unset it and use --model-path."
for option in ${engine_options[@]+"${engine_options[@]}"}; do
  case $option in
    --name | --name=* | --rm | -d | --detach) wrong_use "$option cannot follow --: this script sets it itself." ;;
  esac
done
options=()
if [ -n "$model" ]; then
  bundle=$(cd "$invoked_from" && cd "$model" 2>/dev/null && pwd) || wrong_use "--model-path: there is no directory $model."
  [ -f "$bundle/manifest.json" ] || wrong_use "--model-path: $model is not a bundle (it has no manifest.json); \"purport train\" writes one."
  [ -z "$(find "$bundle" \( -type f ! -perm -o=r -o -type d ! -perm -o=rx \) -print -quit)" ] ||
    wrong_use "--model-path: the container's user cannot read all of $model; run: chmod -R o+rX '$model'"
  name=$(basename "$bundle")
  if ! [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]]; then
    say "\"$name\" cannot be the name of a model; it is served as \"bundle\"."
    name=bundle
  fi
  options+=(--mount "$(bind "$bundle" /models/bundle ,readonly)" --env "PURPORT_BUNDLE=$name=/models/bundle")
fi
if [ "$device" = cuda ]; then options+=(--gpus all --env PURPORT_DEVICE=cuda); fi
for variable in $(compgen -e PURPORT_); do
  case $variable in
    PURPORT_API_KEY | PURPORT_HOST | PURPORT_PORT | PURPORT_DEVICE | PURPORT_DATA_DIR) ;;
    *) options+=(--env "$variable") ;;
  esac
done

need_engine
command -v curl >/dev/null || fail "curl is not installed; it is how this script asks whether the server is ready."
build_image deploy/docker/inference.Dockerfile
watch_over_container
set_aside_old_container
started=$SECONDS
docker run --detach --name "$container" --init --publish "$host:$port:8000" --read-only --tmpfs /tmp --cap-drop ALL \
  --security-opt no-new-privileges ${options[@]+"${options[@]}"} ${engine_options[@]+"${engine_options[@]}"} \
  "$image:$tag" >/dev/null ||
  fail "Docker could not start the container, for the reason above. If the port is taken, choose another --port."

asked=$host
case $host in 0.0.0.0) asked=127.0.0.1 ;; ::) asked='[::1]' ;; *:*) asked="[$host]" ;; esac
url=http://$asked:$port
while ((SECONDS < started + 60)); do
  if [ "$(curl --silent --noproxy '*' --max-time 2 "$url/ready")" = OK ]; then
    keep_container
    break
  fi
  if ! is_running; then
    if [ "$(docker inspect --format '{{.State.OOMKilled}}' "$container" 2>/dev/null)" = true ]; then say "It was killed for memory."; fi
    docker logs --tail 20 "$container" >&2
    fail "the server ended before it was ready; its last lines are above."
  fi
  sleep 0.1
done
if [ -n "$container_made" ]; then
  docker logs --tail 20 "$container" >&2
  fail "the server was not ready within a minute; its last lines are above."
fi

key=''
if [ -n "${PURPORT_API_KEYS:-}" ]; then key=" -H 'Authorization: Bearer KEY'"; fi
cat <<TEXT
$container serves on $url, ready after $((SECONDS - started)) s. Send it a request:

  curl -s $url/intent -H 'Content-Type: application/json'$key \\
       -d '{"text": "find me a flight that flies from Memphis to tacoma"}'

  docker logs --follow $container                           shows its log
  docker stop $container && docker rm $container    stops and removes it
TEXT
