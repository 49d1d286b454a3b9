"""Templates of deploy/: what they name is there, and the command line takes their lines."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from twostream.cli import app

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
VALUES = {
    "SLURM_ARRAY_TASK_ID": "2",
    "SLURM_ARRAY_TASK_COUNT": "8",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "4",
    "JOB_COMPLETION_INDEX": "7",
}


def objects(name: str) -> dict[str, Any]:
    found = list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))
    return {each["kind"]: each for each in found}


def joined_lines(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


def in_scripts() -> Iterator[list[str]]:
    """Lines of the shell, also those in comments (torchrun)."""
    for script in SCRIPTS:
        text = re.sub(r"\\\n#? *", " ", script.read_text(encoding="utf-8"))
        for line in text.splitlines():
            if re.match(r"srun|# *torchrun", line):
                yield shlex.split(line.lstrip("# "))


def in_pods() -> Iterator[list[str]]:
    for name, kind in (("kubernetes-extract.yaml", "Job"), ("kubernetes-serve.yaml", "Deployment")):
        command = pod(objects(name)[kind])["containers"][0]["command"]
        yield shlex.split(command[-1]) if command[0] == "bash" else command


def in_dockerfile() -> Iterator[list[str]]:
    (default,) = re.findall(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    yield ["twostream", *json.loads(default)]
    for line in re.findall(r"^#   docker run .* (twostream .*)", DOCKERFILE, re.MULTILINE):
        yield shlex.split(line)


def commands() -> list[list[str]]:
    return [
        words[words.index("twostream") + 1 :]
        for words in [*in_scripts(), *in_pods(), *in_dockerfile()]
    ]


def pod(item: dict[str, Any]) -> dict[str, Any]:
    return item["spec"]["template"]["spec"]


def filled(word: str) -> str:
    """A word with the values that the scheduler sets."""
    word = word.replace("$((JOB_COMPLETION_INDEX + 1))", "8")
    return re.sub(r"\$\{?(\w+)\}?", lambda name: VALUES.get(name[1], "given"), word)


def test_all_lines_were_found() -> None:
    verbs = [command[0] for command in commands() if command]
    assert {"extract", "serve"} <= set(verbs) and len(verbs) >= 5


@pytest.mark.parametrize("command", [c for c in commands() if c], ids=" ".join)
def test_the_command_line_takes_each_line(command: list[str]) -> None:
    verb, *rest = map(filled, command)
    found = get_command(app).commands[verb]  # type: ignore[attr-defined]
    context = found.make_context(verb, rest)  # raises where an option or a value is wrong
    if shard := context.params.get("shard"):
        from twostream.shards import Shard

        assert Shard.parse(shard).count == 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    found = subprocess.run([program, script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_without_its_arguments_says_how_it_is_used(script: Path) -> None:
    found = subprocess.run(["bash", script, "one"], capture_output=True, text=True)
    assert found.returncode != 0 and f"usage: sbatch {script.name}" in found.stderr


def test_the_array_is_all_parts() -> None:
    text = (DEPLOY / "slurm-extract.sh").read_text(encoding="utf-8")
    assert "#SBATCH --array=1-8\n" in text  # from 1, as shards
    assert '--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"' in text


def test_the_job_does_every_part_once() -> None:
    job = objects("kubernetes-extract.yaml")["Job"]["spec"]
    command = job["template"]["spec"]["containers"][0]["command"][-1]
    assert (
        job["completionMode"] == "Indexed" and job["template"]["spec"]["restartPolicy"] == "Never"
    )
    parts = {
        subprocess.run(
            ["bash", "-c", command.replace("exec twostream", "echo")],
            env={"JOB_COMPLETION_INDEX": str(index)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        for index in range(job["completions"])
    }
    assert parts == {f"{number}/8" for number in range(1, 9)}


def test_the_parts_of_the_service_fit_each_other() -> None:
    found = objects("kubernetes-serve.yaml")
    deployment, service = found["Deployment"]["spec"], found["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == service["selector"]
    (container,) = pod(found["Deployment"])["containers"]
    (port,) = container["ports"]
    command = container["command"]
    assert command[command.index("--port") + 1] == str(port["containerPort"])
    assert service["ports"][0]["targetPort"] == port["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    # the name of the service is one that the server answers to, and its password is mounted
    assert command[command.index("--allow-host") + 1] == found["Service"]["metadata"]["name"]
    auth = Path(command[command.index("--auth-file") + 1]).parent
    assert str(auth) in {each["mountPath"] for each in container["volumeMounts"]}


@pytest.mark.parametrize("name", ["kubernetes-extract.yaml", "kubernetes-serve.yaml"])
def test_pods_are_not_root_and_mount_what_there_is(name: str) -> None:
    spec = pod(next(each for each in objects(name).values() if "template" in each["spec"]))
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    volumes = {each["name"] for each in spec["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} == volumes


def test_the_image_copies_what_is_there_and_is_not_root() -> None:
    lines = joined_lines(DOCKERFILE)
    words = [line.split() for line in lines if line and not line.startswith("#")]
    copied = [name for each in words if each[0] == "COPY" for name in each[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert ignored[1] == "*" and sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)
    assert [each[1] for each in words if each[0] == "USER"][-1] == "twostream"
    assert fnmatch.filter(lines, "*useradd*twostream*")
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)", DOCKERFILE, re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in project for extra in extras.split(","))
    check = json.loads(re.findall(r"HEALTHCHECK.*?CMD (\[.*\])", " ".join(lines))[0].split("  ")[0])
    compile(check[-1], "HEALTHCHECK", "exec")
    assert ":7860/healthz" in check[-1] and "EXPOSE 7860" in lines
