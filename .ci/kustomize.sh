#!/usr/bin/env bash
# Unpacks kustomize into the folder $1 and prints the folder of the program, where neither kubectl nor kustomize here can
# render deploy/kubernetes. Debian 12 has only kubectl 1.20, which is too old; the program of Debian 13 needs nothing but
# the C library that Debian 12 has, too. Nothing is installed.
set -euo pipefail
overlay=$(cd "$(dirname "$0")/.." && pwd)/deploy/kubernetes/overlays/cpu
kubectl kustomize "$overlay" >/dev/null 2>&1 && exit
kustomize build "$overlay" >/dev/null 2>&1 && exit
mkdir -p "$1" && cd "$1"
mkdir -p apt/lists/partial apt/cache/archives/partial apt/sources
sed 's/bookworm/trixie/g' /etc/apt/sources.list.d/debian.sources >apt/sources/trixie.sources
options=(
  -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$PWD/apt/sources" -o "Dir::State::Lists=$PWD/apt/lists"
  -o "Dir::Cache=$PWD/apt/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root
)
apt-get "${options[@]}" update >&2
apt-get "${options[@]}" download kustomize >&2
dpkg-deb -x kustomize_*.deb tree
echo "$PWD/tree/usr/bin"
