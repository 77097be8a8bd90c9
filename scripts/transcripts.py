"""Run both Docker scripts by the words that people use, and keep what they say.

Writes docs/transcripts/*.txt and results/docker.json.

python scripts/transcripts.py      needs a Docker engine; a few minutes
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path

from purport.evaluation.report import machine

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "transcripts"
RESULT = ROOT / "results" / "docker.json"
NAME = "intent-classifier-inference"
SERVE = f"./RUN_DOCKER_INFERENCE.sh --port 9000 --container-name {NAME} --image-name {NAME} --tag v1.1 --device cpu"
TRAINING = "intent-classifier-training"
TRAIN = f"./RUN_DOCKER_TRAINING.sh multilabel --image-name {TRAINING} --container-name {TRAINING}"
ASK = (
    "curl -s http://127.0.0.1:9000/intent -H 'Content-Type: application/json'"
    ' -d \'{"text": "find me a flight that flies from Memphis to tacoma"}\''
)
STARTS = 5


def main() -> None:
    """Write the transcripts and the numbers."""
    _, serving, _ = transcript("inference", SERVE, ASK, f"docker ps --filter name={NAME}", f"docker images {NAME}")
    answers = [seconds_to_first_answer() for _ in range(STARTS)]
    said, took, built = transcript("training", TRAIN)
    found = re.findall(r"^The bundle is in .*/(bundles/\S+)\. Serve it:", said, re.M)
    bundle = ROOT / found[0]
    RESULT.write_text(
        json.dumps(
            {
                "command": "python scripts/transcripts.py",
                "machine": machine(),
                "inference_mb": megabytes(f"{NAME}:v1.1"),
                "training_mb": megabytes(f"{TRAINING}:latest"),
                "inference_script_s": round(serving, 1),
                "first_answer_s": sorted(round(each, 2) for each in answers),
                "first_answer_median_s": round(statistics.median(answers), 2),
                "training_s": round(took - built, 1),
                "trained_bundle_mb": round(sum(f.stat().st_size for f in bundle.rglob("*") if f.is_file()) / 1e6, 1),
            },
            indent=1,
        )
        + "\n",
        "utf-8",
    )


def transcript(name: str, *commands: str) -> tuple[str, float, float]:
    """Run ``commands`` and keep what they print, each line with the seconds since the start.

    Returns what they printed, and the seconds until the end and until the image was built.
    """
    lines, began, built = [], time.monotonic(), 0.0
    for command in commands:
        lines.append(f"         $ {command}")
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout
        for line in process.stdout:
            if line.startswith("#"):
                built = time.monotonic() - began
            # Of the build only which step it is, not what each step prints.
            if line.strip() and (not line.startswith("#") or re.match(r"#\d+ \[", line)):
                lines.append(f"{time.monotonic() - began:6.1f} s {line.rstrip()}")
        if process.wait():
            raise SystemExit("\n".join([*lines, f"exit code {process.returncode}"]))
    text = "\n".join(line.rstrip() for line in lines).replace(str(ROOT), "~/purport") + "\n"
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / f"{name}.txt").write_text(text, "utf-8")
    return "\n".join(line[9:] for line in text.splitlines()), time.monotonic() - began, built


def seconds_to_first_answer() -> float:
    """From ``docker run`` to the first answer on ``/intent``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/intent", b'{"text": "flights to boston"}', {"Content-Type": "application/json"}
    )
    began = time.monotonic()
    command = f"docker run --rm --detach --read-only --cap-drop ALL --publish 127.0.0.1:{port}:8000 {NAME}:v1.1"
    container = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout.strip()
    try:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return time.monotonic() - began
            except OSError:  # not listening yet, or 423
                time.sleep(0.02)
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=True, capture_output=True)


def megabytes(image: str) -> int:
    """Size as ``docker images`` shows it."""
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", image]
    return round(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6)


if __name__ == "__main__":
    main()
