"""The same model behind the servers that a user would otherwise choose, each in turn with ours.

    python benchmarks/serving/peers.py --environments /tmp/peers --output results/serving/peers.json

``--environments`` holds a virtual environment per folder of ``peers/``; what is missing is made from its
requirements.txt. Ours is measured again beside each peer, so that every ratio is of two neighbours in time; medians of
several such rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from harness import HERE, INTENT_BODY, Running, free_port, machine, purport, serving, text_file, texts_of, write, wrk

from purport.bundle import locate

PEERS = HERE / "peers"
CLIENTS = (1, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--bundle", default="atis", help="what all but the torch servers serve")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of peers; the others stay as they are in OUTPUT")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    file = text_file(texts_of("atis"))
    found: dict[str, Any] = json.loads(arguments.output.read_text("utf-8"))["peers"] if arguments.only else {}
    for peer in tomllib.loads((PEERS / "peers.toml").read_text("utf-8"))["peer"]:
        if arguments.only and peer["name"] not in arguments.only:
            continue
        print(f"{peer['name']} …", file=sys.stderr, flush=True)
        theirs, ours = [], []
        for _ in range(arguments.rounds):
            with started(peer, arguments.environments, arguments.bundle) as server:
                theirs.append(measure(server, peer["path"], peer["body"], file, arguments.seconds))
            with purport(arguments.bundle, "--cache", "0") as server:
                ours.append(measure(server, "/intent", INTENT_BODY, file, arguments.seconds))
        ratios = {
            n: [our[n]["per_s"] / their[n]["per_s"] for our, their in zip(ours, theirs, strict=True)] for n in ours[0]
        }
        found[peer["name"]] = {
            "version": peer["version"],
            "notes": peer["notes"],
            "peer": medians(theirs),
            "purport": medians(ours),
            "ratio": {clients: round(statistics.median(each), 2) for clients, each in ratios.items()},
            "ratios": {clients: [round(ratio, 2) for ratio in each] for clients, each in ratios.items()},
        }
        # After each peer: the next one may fail.
        report = {
            "command": "python benchmarks/serving/peers.py",
            "machine": machine(),
            "rounds": arguments.rounds,
            "peers": found,
        }
        write(arguments.output, report)


def started(peer: dict[str, Any], environments: Path, bundle: str) -> Any:
    """The server of ``peer``, in its own environment."""
    folder = peer.get("directory", peer["name"])
    environment = environments / folder
    if not environment.is_dir():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "pip"), "install", "-q", "-r", str(PEERS / folder / "requirements.txt")]
        subprocess.run(pip, check=True)
    model = locate(bundle) if peer["model"] == "bundle" else environments / "models" / peer["model"]
    if not model.is_dir():
        subprocess.run([sys.executable, str(PEERS / "models.py"), peer["model"], str(model)], check=True)
    port = free_port(following=2)  # MLServer takes them
    command = [str(PEERS / folder / "serve.sh"), str(model.resolve()), str(port)]
    variables = {"PEER_VENV": str(environment.resolve()), "HF_HUB_OFFLINE": "1", **peer.get("env", {})}
    return serving(command, port, peer["ready"], peer.get("stop", "TERM"), variables)


def measure(server: Running, path: str, body: str, file: str, seconds: float) -> dict[str, Any]:
    """Closed loops, after a warm-up long enough for servers that learn how to batch."""
    wrk(server.port, path, body, file, clients=16, seconds=4)
    runs = {str(n): wrk(server.port, path, body, file, clients=n, seconds=seconds) for n in CLIENTS}
    numbers = ("per_s", "p50_ms", "p99_ms", "socket_errors", "timeouts")
    found: dict[str, Any] = {
        clients: {**{name: run[name] for name in numbers}, "not_200": sum(run["not_200"].values())}
        for clients, run in runs.items()
    }
    found["64"]["memory_mib"] = round(server.memory_mib())
    return found


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of every number."""
    return {
        clients: {name: round(statistics.median(each[clients][name] for each in rounds), 3) for name in numbers}
        for clients, numbers in rounds[0].items()
    }


if __name__ == "__main__":
    main()
