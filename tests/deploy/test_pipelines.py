"""The pipelines run what a developer runs, from pinned actions, with few rights, and deploy only with approval."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
AZURE = {
    path.name: path.read_text("utf-8") for path in [ROOT / "azure-pipelines.yml", *(ROOT / ".azure").glob("*.yml")]
}
JOBS = {(file, name): job for file, text in WORKFLOWS.items() for name, job in yaml.safe_load(text)["jobs"].items()}
STAGES = {stage["stage"]: stage for stage in yaml.safe_load(AZURE["azure-pipelines.yml"])["stages"]}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
# What a pipeline may do besides calling a Make target: what needs its own rights, or a network that a developer lacks.
ALLOWED = (
    "docker tag ",
    "docker push ",
    "gh release create ",
    "kubectl apply -k ",
    "kubectl rollout status ",
    "kustomize edit set image ",
    "pipx run pip-audit==",
    "scripts/image_facts.sh >>",
    "scripts/snyk.sh ",
    "test -f ",
)


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a parsed file, at any depth."""
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(part)


def github_commands() -> list[str]:
    """Each line that a workflow runs, written out for each row of its job's matrix."""
    found = []
    for job in JOBS.values():
        rows = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        for step in job.get("steps", []):
            for row in rows:
                text = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda m, row=row: row[m[1]], step.get("run", ""))
                found += text.strip().splitlines()
    return found


def azure_commands() -> list[str]:
    """Each line that the pipeline runs; .azure/make.yml is written out for each target that it is called with."""
    found = []
    for file, text in AZURE.items():
        for node in nodes(yaml.safe_load(text)):
            rows = node.get("strategy", {}).get("matrix", {}) if "steps" in node else {}
            found += [f"make {row['target']}" for row in rows.values()]
            if str(node.get("template", "")).endswith("make.yml") and "$(" not in node["parameters"]["target"]:
                found.append(f"make {node['parameters']['target']}")
            if file != "make.yml" and "script" in node:
                found += node["script"].strip().splitlines()
    return found


def test_every_action_is_pinned_by_its_commit_with_its_version() -> None:
    pins: dict[str, set[str]] = {}
    for file, text in WORKFLOWS.items():
        for used in re.findall(r"uses: (.+)", text):
            own = re.fullmatch(r"\$/(\.github/workflows/\w+\.yml)", used)
            pinned = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
            assert pinned or (own and (ROOT / own[1]).is_file()), f"{file}: {used}"
            if pinned:
                pins.setdefault("/".join(pinned[1].split("/")[:2]), set()).add(pinned[2])
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("commands", [github_commands, azure_commands])
def test_pipelines_call_make_targets_that_exist_and_little_else(commands: Any) -> None:
    called = commands()
    assert called
    for line in called:
        target = re.fullmatch(r"make ([a-z-]+)", line)
        assert (target and target[1] in TARGETS) or line.startswith(ALLOWED), line


def test_both_systems_have_every_stage() -> None:
    before, script = (node["script"] for node in nodes(yaml.safe_load(AZURE["make.yml"])) if "script" in node)
    assert before == '[ "${{ parameters.target }}" != test ] || make programs'
    assert script == "make ${{ parameters.target }}"
    stages = {"lint", "test", "check", "components", "docs", "docker-test"}
    for commands, more in ((github_commands, {"dist", "programs"}), (azure_commands, set())):
        assert {line.removeprefix("make ") for line in commands() if line.startswith("make ")} == stages | more
    assert list(STAGES) == ["lint", "test", "components", "docs", "image", "deploy_dev", "deploy_production"]


def test_nothing_is_released_or_deployed_before_the_tests_passed() -> None:
    needs = {name: JOBS["release.yml", name]["needs"] for name in ("dist", "pypi", "image", "notes")}
    assert needs == {"dist": "ci", "pypi": "dist", "image": "dist", "notes": ["dist", "pypi", "image"]}
    assert JOBS["release.yml", "ci"]["uses"].endswith("/ci.yml")
    assert STAGES["deploy_dev"]["dependsOn"] == ["test", "components", "docs", "image"]
    assert STAGES["deploy_production"]["dependsOn"] == "deploy_dev"
    for name in ("deploy_dev", "deploy_production"):
        assert "eq(variables.deploys, 'True')" in STAGES[name]["condition"]


def test_a_tag_that_is_not_the_version_publishes_nothing() -> None:
    def before(name: str) -> set[str]:
        needs = JOBS["release.yml", name].get("needs", [])
        return {found for each in ([needs] if isinstance(needs, str) else needs) for found in {each, *before(each)}}

    compares = [name for file, name in JOBS if file == "release.yml" and "#v}-py3" in str(JOBS[file, name])]
    assert compares == ["dist"]
    assert all("dist" in before(name) for name in ("pypi", "image", "notes"))


def test_the_image_of_a_release_is_built_as_the_scripts_build_it(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text('#!/bin/sh\nfor each; do echo "$each" >&2; done\n')
    (tmp_path / "docker").chmod(0o755)
    build = f". {ROOT}/deploy/docker/engine.sh; image=it tag=1.2.3; build_image deploy/docker/inference.Dockerfile"
    here = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-ec", build], capture_output=True, text=True, check=True, cwd=checkout, env=here)
    wanted = re.findall(r"^--build-arg\n(.+)", done.stderr, re.M)
    facts = image_facts(checkout)
    (push,) = (step["with"] for step in JOBS["release.yml", "image"]["steps"] if step.get("id") == "push")
    given = re.sub(r"\$\{\{ steps\.facts\.outputs\.(\w+) \}\}", lambda found: facts[found[1]], push["build-args"])
    assert sorted(given.splitlines()) == sorted(wanted) != []
    assert "labels" not in push, "they would replace those of the Dockerfile"


def test_the_name_of_a_released_image_is_in_lower_case(checkout: Path) -> None:
    assert image_facts(checkout)["name"] == "ghcr.io/some-owner/intent-classifier-inference"
    for step in nodes(JOBS["release.yml", "image"]):
        assert not re.search(r"ghcr\.io/|repository_owner", str(step))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git = ["git", "-C", tmp_path / "checkout", "-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "--quiet", tmp_path / "checkout"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=Start"], check=True)
    return tmp_path / "checkout"


def image_facts(checkout: Path) -> dict[str, str]:
    """What the release gives the build, for an owner with capitals and the tag v1.2.3."""
    given = {"PATH": os.environ["PATH"], "GITHUB_REPOSITORY_OWNER": "Some-Owner", "GITHUB_REF_NAME": "v1.2.3"}
    command = [ROOT / "scripts/image_facts.sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout, env=given)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_production_waits_for_a_person() -> None:
    approve, deploy = STAGES["deploy_production"]["jobs"]
    (step,) = approve["steps"]
    assert (approve["pool"], step["task"], step["inputs"]["onTimeout"]) == ("server", "ManualValidation@1", "reject")
    assert deploy["parameters"] == {"environment": "production", "dependsOn": approve["job"]}
    (job,) = yaml.safe_load(AZURE["deploy.yml"])["jobs"]
    assert job["environment"] == "${{ parameters.environment }}" and job["dependsOn"] == "${{ parameters.dependsOn }}"


def test_whoever_can_publish_does_so_in_an_environment() -> None:
    strong = {"id-token", "packages", "pages", "attestations"}
    for key, job in JOBS.items():
        if strong & set(job["permissions"]):
            assert job.get("environment"), key


def test_workflows_have_the_least_rights() -> None:
    for file, text in WORKFLOWS.items():
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {} and workflow["concurrency"]["group"], file
        assert "pull_request_target" not in workflow[True], file  # YAML 1.1 reads `on` as true
    for key, job in JOBS.items():
        writes = [right for right, level in job["permissions"].items() if level == "write"]
        assert not writes or key[0] != "ci.yml", key
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, key


def test_no_command_holds_or_prints_a_secret() -> None:
    for line in [*github_commands(), *azure_commands()]:
        assert not re.search(r"secrets\.|github\.token|TOKEN|set -x|printenv|\benv\b|^echo", line), line
    for text in AZURE.values():
        assert {line.strip() for line in text.splitlines() if "$(SNYK_TOKEN)" in line} <= {"SNYK_TOKEN: $(SNYK_TOKEN)"}


@pytest.mark.parametrize("token", ["", "$(SNYK_TOKEN)"])
def test_without_a_token_there_is_no_snyk_scan(token: str) -> None:
    done = scan(token, PATH=os.environ["PATH"])
    assert (done.returncode, done.stdout) == (0, "No Snyk scan: SNYK_TOKEN is not set.\n")


def test_with_a_token_snyk_scans_the_image_and_says_nothing_of_the_token(tmp_path: Path) -> None:
    (tmp_path / "npx").write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    (tmp_path / "npx").chmod(0o755)
    done = scan("hidden", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 7, "what Snyk finds must fail the build"
    assert re.search(r"^--yes snyk@\d\S+ container test image:latest .*--policy-path=\.snyk", done.stdout)
    assert "hidden" not in done.stdout + done.stderr


def scan(token: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts/snyk.sh", "image:latest"]
    return subprocess.run(command, capture_output=True, text=True, env={"SNYK_TOKEN": token, **environment})


def test_whatever_snyk_ignores_has_a_reason_and_an_end() -> None:
    policy = yaml.safe_load((ROOT / ".snyk").read_text("utf-8"))
    assert policy["version"].startswith("v1.") and isinstance(policy["ignore"], dict)
    for finding, paths in policy["ignore"].items():
        for rule in (rule for path in paths for rule in path.values()):
            assert rule.get("reason") and rule.get("expires"), finding


def test_every_path_that_a_pipeline_names_is_there() -> None:
    named = {"constraints.txt", ".snyk", "scripts/snyk.sh", "scripts/image_facts.sh"}
    named |= {step["with"]["file"] for job in JOBS.values() for step in nodes(job) if "file" in step.get("with", {})}
    named |= set(re.findall(r"(?:-k|workingDirectory:) (deploy/\S+)", AZURE["deploy.yml"]))
    named |= set(re.findall(r"--file=(\S+)", (ROOT / "scripts/snyk.sh").read_text("utf-8")))
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))["updates"]
    named |= {update["directory"].lstrip("/") for update in updates}
    assert {path for path in named if not (ROOT / path).exists()} == set()
