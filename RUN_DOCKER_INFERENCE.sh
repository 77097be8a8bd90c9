#!/usr/bin/env bash
# Build the inference image and serve a model in a container.
set -euo pipefail
invoked_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. deploy/docker/engine.sh

usage() {
  cat <<TEXT
Build the inference image and serve a model in a container.

Usage: $0 [OPTIONS] [-- OPTIONS OF docker run]

  -p, --port PORT             port on this machine (default: 8000)
  -c, --container-name NAME   an old container of that name is replaced (default: intent-classifier-inference)
  -i, --image-name NAME       (default: intent-classifier-inference)
  -t, --tag TAG               tag of the image (default: latest)
  -m, --model-path DIRECTORY  a bundle to serve (default: the ATIS bundle that ships with Purport)
  -d, --device cpu|cuda       cuda passes the GPUs on (default: cpu)
      --host ADDRESS          address of this machine to listen on; 0.0.0.0 for all (default: 127.0.0.1)
  -h, --help                  show this text

PURPORT_* variables of your shell are settings of the server ("purport config" lists them), for example PURPORT_API_KEYS.

Examples:
  $0 --port 9000 --container-name intent-classifier-inference --image-name intent-classifier-inference --tag v1.1 --device cpu
  $0 -p 9000 -m bundles/tickets
  $0 -p 9000 -- --cpus 2 --memory 1g
TEXT
}

port=8000 container=intent-classifier-inference image=intent-classifier-inference tag=latest model='' device=cpu host=127.0.0.1
read_options "-p --port port" "-c --container-name container" "-i --image-name image" "-t --tag tag" \
  "-m --model-path model" "-d --device device" "- --host host" -- "$@"
[ ${#rest[@]} = 0 ] || wrong_use "\"${rest[0]}\" is not an option; options of docker run follow --."
check_names
[[ $port =~ ^[0-9]{1,5}$ ]] && ((10#$port >= 1 && 10#$port <= 65535)) || wrong_use "--port is a number from 1 to 65535, not \"$port\"."
[[ $host =~ ^[0-9a-fA-F.:]+$ ]] || wrong_use "--host is an IP address, not \"$host\"."
options=()
if [ -n "$model" ]; then
  bundle=$(cd "$invoked_from" && cd "$model" 2>/dev/null && pwd) || wrong_use "--model-path: there is no directory $model."
  [ -f "$bundle/manifest.json" ] || wrong_use "--model-path: $model is not a bundle (it has no manifest.json); \"purport train\" writes one."
  options+=(--mount "type=bind,source=$bundle,target=/models/$(basename "$bundle"),readonly")
  options+=(--env "PURPORT_BUNDLE=/models/$(basename "$bundle")")
fi
if [ "$device" = cuda ]; then options+=(--gpus all --env PURPORT_DEVICE=cuda); fi
for variable in $(compgen -e PURPORT_); do
  case $variable in
    PURPORT_BUNDLE | PURPORT_HOST | PURPORT_PORT | PURPORT_DEVICE | PURPORT_DATA_DIR) ;;
    *) options+=(--env "$variable") ;;
  esac
done

need_engine
command -v curl >/dev/null || fail "curl is not installed; it is how this script asks whether the server is ready."
build_image deploy/docker/inference.Dockerfile
remove_old_container
watch_over_container
started=$SECONDS
docker run --detach --name "$container" --init --publish "$host:$port:8000" --read-only --tmpfs /tmp --cap-drop ALL \
  --security-opt no-new-privileges ${options[@]+"${options[@]}"} ${engine_options[@]+"${engine_options[@]}"} \
  "$image:$tag" >/dev/null ||
  fail "the container could not be started; if the port is taken, choose another --port."

asked=$host
case $host in 0.0.0.0) asked=127.0.0.1 ;; ::) asked='[::1]' ;; *:*) asked="[$host]" ;; esac
url=http://$asked:$port
for _ in $(seq 600); do
  if [ "$(curl --silent --noproxy '*' --max-time 2 "$url/ready")" = OK ]; then
    keep_container
    break
  fi
  if [ "$(docker inspect --format '{{.State.Running}}' "$container")" != true ]; then
    docker logs --tail 20 "$container" >&2
    fail "the server ended before it was ready; its last lines are above."
  fi
  sleep 0.1
done
if [ -n "$container_made" ]; then
  docker logs --tail 20 "$container" >&2
  fail "the server was not ready within a minute; its last lines are above."
fi

cat <<TEXT
$container serves on $url, ready after $((SECONDS - started)) s. Ask it:

  curl -s $url/intent -H 'Content-Type: application/json' \\
       -d '{"text": "find me a flight that flies from Memphis to tacoma"}'

  docker logs --follow $container    its log
  docker rm --force $container       end it
TEXT
