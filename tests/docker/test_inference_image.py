"""The inference script and its image: the words that people call it by, what it leaves behind, what is inside."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from .conftest import INFERENCE, QUESTION, ROOT, docker, exists, free_port, inspect, metric, run

Serve = Callable[..., httpx.Client]
IMAGE = "intent-classifier-inference:latest"


def test_the_fixed_words_serve_and_print_a_request_that_works(container: str) -> None:
    port = str(free_port())
    words = (
        f"--port {port} --container-name {container} --image-name intent-classifier-inference --tag v1.1 --device cpu"
    )
    done = run(INFERENCE, *words.split())
    assert done.returncode == 0, done.stderr
    command = re.search(r"curl .*?\n.*", done.stdout)
    assert command
    answer = subprocess.run(["bash", "-c", command[0]], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["intents"][0]["label"] == "flight"
    assert inspect("container", container)["Config"]["Image"] == "intent-classifier-inference:v1.1"


def test_it_works_from_another_directory_and_replaces_an_old_container(
    container: str, tmp_path: Path, linear_bundle: Path
) -> None:
    port = str(free_port())
    (tmp_path / "mine").symlink_to(linear_bundle)
    assert run(INFERENCE, "-p", port, "-c", container, cwd=tmp_path).returncode == 0
    first = inspect("container", container)["Id"]
    done = run(INFERENCE, "-p", port, "-c", container, "-m", "mine", cwd=tmp_path)
    assert done.returncode == 0 and f"Replacing the container {container}" in done.stderr
    assert inspect("container", container)["Id"] != first
    models = httpx.get(f"http://127.0.0.1:{port}/v1/models").json()
    assert [model["name"] for model in models["models"]] == ["mine"]


def test_settings_of_the_shell_reach_the_server(serve: Serve) -> None:
    client = serve(PURPORT_API_KEYS="secret@intent", PURPORT_PORT="1", PURPORT_HOST="nowhere")
    assert client.post("/intent", json=QUESTION).status_code == 401
    assert client.post("/intent", json=QUESTION, headers={"Authorization": "Bearer secret"}).status_code == 200


def test_a_start_that_fails_says_why_and_leaves_nothing(container: str, tmp_path: Path, linear_bundle: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text((linear_bundle / "manifest.json").read_text())
    tmp_path.chmod(0o755)
    done = run(INFERENCE, "--port", str(free_port()), "--container-name", container, "--model-path", broken)
    assert done.returncode == 1
    assert "is missing" in done.stderr and "ended before it was ready" in done.stderr
    assert not exists(container)


def test_a_failed_start_brings_the_old_container_back(serve: Serve, container: str) -> None:
    client = serve()
    first = inspect("container", container)["Id"]
    done = run(INFERENCE, "--port", str(free_port()), "--container-name", container, PURPORT_WORKERS="many")
    assert done.returncode == 1 and "The old container runs again" in done.stderr
    assert inspect("container", container)["Id"] == first and not exists(f"{container}-replaced")
    until_ready(client)


def until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_taken_port_leaves_nothing(container: str, serve: Serve) -> None:
    taken = str(serve().base_url.port)
    other = f"{container}-2"
    done = run(INFERENCE, "--port", taken, "--container-name", other)
    assert done.returncode == 1 and "choose another --port" in done.stderr
    assert not exists(other)


def test_any_folder_name_can_be_served(container: str, serve: Serve, linear_bundle: Path, tmp_path: Path) -> None:
    client = serve("--model-path", shutil.copytree(linear_bundle, tmp_path / 'my, "odd" bundle'))
    assert [model["name"] for model in client.get("/v1/models").json()["models"]] == ["bundle"]


def test_ctrl_c_while_it_starts_leaves_nothing(container: str) -> None:
    words = [INFERENCE, "--port", str(free_port()), "--container-name", container, "--", "--cpus", "0.1"]
    process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not exists(container):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    subprocess.run(["kill", "-INT", "--", f"-{process.pid}"], check=True)
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert not exists(container)


def test_the_image_holds_what_a_server_needs_and_says_what_it_is(serve: Serve, container: str) -> None:
    serve()
    facts = inspect("image", IMAGE)
    assert facts["Config"]["User"] == "65532:65532"
    labels = facts["Config"]["Labels"]
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True).stdout
    assert labels["org.opencontainers.image.revision"] == commit + ("-dirty" if changed else "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", labels["org.opencontainers.image.created"])
    assert facts["Size"] < 350e6
    for tool in ("pip", "gcc", "apt-get", "perl", "curl"):
        assert docker("exec", container, "sh", "-c", f"command -v {tool}", check=False) == "", tool
    listed = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions()}))"
    installed = docker("exec", container, "python", "-c", listed).split()
    assert "purport" in installed and not {"torch", "transformers", "scikit-learn"} & set(installed)
    contents = json.loads(docker("exec", container, "cat", labels["org.purport.sbom"]))
    assert contents["bomFormat"] == "CycloneDX"
    parts = [contents["metadata"]["component"], *contents["components"]]
    assert sorted({part["name"].lower() for part in parts}) == installed


def test_nothing_can_be_written_and_nothing_is_allowed(serve: Serve, container: str) -> None:
    serve()
    host = inspect("container", container)["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and "no-new-privileges" in host["SecurityOpt"]
    assert "Read-only" in docker("exec", container, "sh", "-c", "touch /opt/x 2>&1", check=False)


def test_the_health_check_finds_it_well_whatever_proxy_is_set(serve: Serve, container: str) -> None:
    serve("--", "--env", "http_proxy=http://127.0.0.1:9")
    deadline = time.monotonic() + 40
    while (state := inspect("container", container)["State"]["Health"]["Status"]) != "healthy":
        assert time.monotonic() < deadline and state == "starting"
        time.sleep(0.5)


def test_byte_code_is_current_without_time_stamps(serve: Serve, container: str) -> None:
    """Nothing can be written on a read-only disk: stale byte code would be compiled again by every process."""
    serve()
    code = (
        "import pathlib, sys; files = [f for p in ('/opt/purport/lib', '/usr/local/lib/python3.11')"
        " for f in pathlib.Path(p).rglob('*.pyc')];"
        " print(len(files), sum(f.read_bytes()[4:8] != bytes([1, 0, 0, 0]) for f in files))"
    )
    total, stamped = map(int, docker("exec", container, "python", "-c", code).split())
    assert total > 1000 and stamped == 0
    assert docker("exec", container, "find", "/", "-xdev", "-perm", "/6000", "-type", "f", check=False) == ""


def test_workers_follow_the_limits_of_the_container(serve: Serve) -> None:
    assert metric(serve("--", "--cpus", "1"), "purport_workers") == 1
    assert metric(serve("--", "--memory", "300m"), "purport_workers") == 1
    code = "import os; print(len(os.sched_getaffinity(0)))"
    cores = int(docker("run", "--rm", "--entrypoint", "python", IMAGE, "-c", code))
    assert metric(serve("--", "--memory", "8g"), "purport_workers") == cores


def test_it_stops_in_time(serve: Serve, container: str) -> None:
    serve()
    began = time.monotonic()
    docker("stop", "--time", "25", container)
    assert time.monotonic() - began < 20
    assert inspect("container", container)["State"]["ExitCode"] == 0


def test_a_bundle_can_be_baked_in(container: str, linear_bundle: Path) -> None:
    """As docs/how-to/docker.md says: a target of the same Dockerfile."""
    place = ROOT / "bundles" / container
    place.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-r", linear_bundle, place], check=True)
    try:
        command = (
            f"build --file deploy/docker/inference.Dockerfile --target baked --build-arg MODEL=bundles/{container} ."
        )
        image = docker(*shlex.split(command.replace("build ", "build --quiet ", 1).replace(" .", f" {ROOT}")))
        answer = docker("run", "--rm", "--name", container, "--read-only", image, "predict", "/models/baked", "hello")
        assert "decided" in answer
    finally:
        subprocess.run(["rm", "-r", place], check=True)
