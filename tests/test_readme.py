"""The documents say what is true: commands, options, links, examples, tables."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from twostream.__main__ import run
from twostream.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def commands(document: Path, program: str) -> list[list[str]]:
    """Return the arguments of a program's calls in the bash blocks, comments aside."""
    lines = [line for block in blocks(document, "bash") for line in block.splitlines()]
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[1:] for call in calls if call and Path(call[0]).name == program]


def main_path() -> list[list[str]]:
    """Return the calls of the README's "Five minutes" up to "More of the same"."""
    section = README.read_text().split("## Five minutes")[1].split("More of the same")[0]
    (block,) = re.findall(r"```bash\n(.*?)```", section, re.S)
    return [shlex.split(line)[1:] for line in block.splitlines()]


BENCHMARK = r"benchmarks/(\w+\.py)((?:\\\n|[^`\n])*)"  # a benchmark and its options


def test_the_readme_has_commands_to_check() -> None:
    verbs = [call[0] for call in commands(README, "twostream")]
    assert {"doctor", "train", "predict", "extract", "fuse"} <= set(verbs)
    assert [call[0] for call in main_path()] == ["doctor", "train", "predict"]
    assert ["demo"] in commands(README, "make") and ["test"] in commands(README, "make")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_parse(document: Path) -> None:
    for verb, *arguments in commands(document, "twostream"):
        assert verb in COMMANDS, f"no verb {verb}"
        COMMANDS[verb].make_context(verb, list(arguments))  # raises for what does not exist


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_options_and_verbs_in_the_text_exist(document: Path) -> None:
    options = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    options |= {"--help", "--version"}
    # of torchrun and srun
    options |= {"--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-id", "--rdzv-endpoint"}
    options |= {"--max-restarts", "--ntasks-per-node", "--gpus-per-node", "--kill-on-bad-exit"}
    for script in (ROOT / "benchmarks").glob("*.py"):
        options |= set(re.findall(r'"(--[a-z-]+)"', script.read_text()))
    text = document.read_text()
    for name, rest in re.findall(BENCHMARK, text):
        known = (ROOT / "benchmarks" / name).read_text()
        assert all(f'"{option}"' in known for option in re.findall(r"--[a-z-]+", rest))
    text = re.sub(BENCHMARK, "", text)
    unknown = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) - options)
    assert not unknown
    verbs = set(re.findall(r"`twostream ([a-z][a-z-]*)", text))
    assert verbs <= set(COMMANDS)


def test_every_verb_stands_in_the_table() -> None:
    table = README.read_text().split("## Verbs")[1].split("##")[0]
    assert set(re.findall(r"^\| `([a-z-]+)", table, re.M)) == set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    wanted = {target for call in commands(document, "make") for target in call}
    wanted |= set(re.findall(r"`make ([a-z-]+)`", document.read_text()))
    assert wanted <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if not link.startswith(("http://", "https://", "#")):
            path = document.parent / link.partition("#")[0]
            assert path.is_file(), f"{document.name} links to {link}, which is not there"


def test_every_document_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)]+)\)", README.read_text()))
    assert {path.relative_to(ROOT).as_posix() for path in DOCUMENTS[1:]} <= linked


def test_the_recipes_stand_in_the_method() -> None:
    from twostream.recipes import PAPER, QUICK

    text = (ROOT / "docs" / "method.md").read_text()
    for row in (
        f"| short side, crop | {PAPER.short_side}, {PAPER.crop_size} "
        f"| {QUICK.short_side}, {QUICK.crop_size} |",
        f"| batch, steps | {PAPER.batch_size}, {PAPER.steps:,} "
        f"| {QUICK.batch_size}, {QUICK.steps:,} |",
        f"| learning rate | {PAPER.learning_rate:g}, divided by ten twice "
        f"| {QUICK.learning_rate:g}, rising over {QUICK.warmup_steps} steps, "
        "then a cosine to zero |",
        f"| fine-tuning | {PAPER.fine_tuning_steps:,} steps at {PAPER.fine_tuning_learning_rate:g} "
        f"| {QUICK.fine_tuning_steps:,} steps at {QUICK.fine_tuning_learning_rate:g} |",
        f"| gradient | as it is | its norm clipped at {QUICK.gradient_clip:g} |",
        f"| dropout | {PAPER.dropout:g} | {QUICK.dropout:g} |",
    ):
        assert row in text
    guide = (ROOT / "docs" / "data.md").read_text()
    assert (
        f"({QUICK.crop_size} px in `quick`, {PAPER.crop_size} px in `paper` and `standard`" in guide
    )
    assert len(PAPER.boundaries) == 2 and PAPER.gradient_clip is None
    assert PAPER.weight_decay == QUICK.weight_decay == 5e-4


def test_the_layers_stand_in_the_architecture() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert "```\n" + "\n".join(contract["layers"]) + "\n```" in text
    for room in re.findall(r"[a-z_]+", " ".join(contract["layers"])):
        if f"({room})" not in " ".join(contract["layers"]):
            assert re.search(rf"`{room}(\.py|/)`", text), f"no word on {room}"


def test_the_doctors_problems_stand_in_the_data_guide() -> None:
    source = (ROOT / "src" / "twostream" / "doctor.py").read_text()
    table = (ROOT / "docs" / "data.md").read_text().split("## The doctor")[1].split("##")[0]
    named = re.findall(r"^\| ([a-z ]+) \|", table, re.M)[1:]
    assert len(named) == 17
    for problem in named:
        assert f'"{problem}"' in source


def test_the_main_path_runs_as_written(
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clips = tmp_path / "demo-run-clips"
    clips.mkdir()
    for name in ("StandUp", "SitDown", "WaveRedFlag", "WaveBlueFlag", "ucfTrainTestlist"):
        (clips / name).symlink_to(tiny_data / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for arguments in main_path():
        short = ["--steps", "5", "--recipe", "quick"] if arguments[0] == "train" else []
        assert run([*arguments, *short]) == 0, capsys.readouterr().err
    printed = " ".join(capsys.readouterr().out.split())
    for word in ("spatial", "temporal", "average", "svm", "report: runs/first/report.html"):
        assert word in printed
    assert Path("runs/first/report.html").is_file()

    (example,) = blocks(README, "python")
    shorter = example.replace("steps=20", "steps=2")
    assert shorter != example
    exec(compile(shorter, str(README), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all("_g01_c01.avi" in line for line in lines[:3])
    assert 0 <= float(lines[-1]) <= 1

    guide = ROOT / "docs" / "use.md"
    # more data, cameras, what stays (see tests/web), and the Hub (see tests/test_hub.py)
    elsewhere = {"--quantize", "0", "rtsp://camera.example/stream", "serve", "push", "pull"}
    calls = [call for call in commands(guide, "twostream") if not elsewhere & set(call)]
    assert [call[0] for call in calls if call[0] != "predict"] == ["export", "convert"]
    assert len(calls) == 8
    for arguments in calls:
        assert run(arguments) == 0, capsys.readouterr().err
    for arguments in commands(guide, "twostream"):
        if arguments[0] in ("push", "pull") and not any("anna/" in each for each in arguments):
            assert run(arguments) == 0, capsys.readouterr().err
    capsys.readouterr()
    (example,) = blocks(guide, "python")
    exec(compile(example, str(guide), "exec"), {})
    said = capsys.readouterr().out  # hardly trained: any of the four classes
    assert sum(name in said for name in ("StandUp", "SitDown", "WaveRed", "WaveBlue")) >= 1

    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = text.split("## The RUN folder")[1].split("```")[1]
    for path in Path("runs/first").iterdir():
        assert f"RUN/{path.name}" in tree, f"no word on RUN/{path.name}"
