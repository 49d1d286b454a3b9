"""Push and pull: through a folder, and through the Hub library's functions, replaced here."""

from __future__ import annotations

import json
import os
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest

from twostream.__main__ import run as run_command
from twostream.hub import FILES, folder_or_repo, pull, push
from twostream.prediction import TwoStreamPredictor
from twostream.types import ModelError, RunError, UsageError
from untrained import make_model, save_run

OF_CLIPS = [each for each in FILES if each != "bouts.json"]  # which recordings alone have
TOKEN = "hf_" + "Secret0123456789"


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_goes_through_a_folder(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> None:
    before = sorted(content(tiny_run))
    told = push(tiny_run, f"file:{tmp_path / 'pushed'}")
    assert sorted(content(tmp_path / "pushed")) == sorted(told["files"])
    assert set(told["files"]) == set(OF_CLIPS)
    assert sorted(content(tiny_run)) == before
    pull(str(tmp_path / "pushed"), tmp_path / "pulled")
    assert content(tmp_path / "pulled") == content(tmp_path / "pushed")
    clip = next(iter(sorted(tiny_data.glob("*/*.avi"))))
    wanted = TwoStreamPredictor.load(tiny_run).predict(clip).scores
    found = TwoStreamPredictor.load(tmp_path / "pulled").predict(clip).scores
    np.testing.assert_array_equal(found, wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pulled", "pushed"]
    push(tmp_path / "pulled", str(tmp_path / "again"))
    assert content(tmp_path / "again").keys() == content(tmp_path / "pushed").keys()


def test_no_path_of_this_machine_travels(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> None:
    push(tiny_run, f"file:{tmp_path / 'pushed'}")
    for name, data in content(tmp_path / "pushed").items():
        for path in (tiny_run.parent, tiny_data.parent):
            assert str(path).encode() not in data, name
    results = json.loads((tmp_path / "pushed" / "results.json").read_text())
    before = json.loads((tiny_run / "results.json").read_text())
    assert results["accuracy"] == before["accuracy"] and results["run"] == "pushed"
    assert results["data"] == tiny_data.name


def test_of_the_users_folders_the_last_part_travels(tiny_run: Path, tmp_path: Path) -> None:
    """Relative ones too, and with spaces: they may name people."""
    place, run = "../patients/anna miller/labels.csv", tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for name in ("results.json", "settings.json"):
        said = json.loads((run / name).read_text()) | {"data": place}
        said["notes"] = [f"{place}: line 3: no label: left out"]
        (run / name).write_text(json.dumps(said))
    card = (run / "README.md").read_text()
    (run / "README.md").write_text(card + f"\nTrained on {place}.\n")
    push(run, f"file:{tmp_path / 'pushed'}")
    for name, data in content(tmp_path / "pushed").items():
        assert b"miller" not in data, name
    settings = json.loads((tmp_path / "pushed" / "settings.json").read_text())
    assert settings["notes"] == ["labels.csv: line 3: no label: left out"]


def test_what_is_there_is_replaced_by_force_only(tiny_run: Path, tmp_path: Path) -> None:
    target, out = tmp_path / "pushed", tmp_path / "pulled"
    (tmp_path / "empty").mkdir()
    push(tiny_run, f"file:{tmp_path / 'empty'}")
    push(tiny_run, f"file:{target}")
    pull(str(target), out)
    (target / "README.md").write_text("old")
    (out / "README.md").write_text("old")
    kept = content(target), content(out)
    with pytest.raises(RunError, match="add --force to replace it"):
        push(tiny_run, f"file:{target}")
    with pytest.raises(RunError, match="add --force to replace it"):
        pull(str(target), out)
    assert (content(target), content(out)) == kept
    push(tiny_run, f"file:{target}", force=True)
    pull(str(target), out, force=True)
    assert b"old" not in (content(target)["README.md"], content(out)["README.md"])

    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"other things, such as notes\.txt"):
        pull(str(target), out, force=True)
    with pytest.raises(RunError, match="other things"):
        pull(str(target), tiny_run, force=True)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RunError, match="is a file"):
        push(tiny_run, f"file:{file}", force=True)
    assert not list(tmp_path.glob(".*"))


def test_a_failure_leaves_what_was_there(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "pushed"
    push(tiny_run, f"file:{target}")
    kept = content(target)
    rename = os.rename

    def stopped(source: Any, to: Any) -> None:
        if Path(to) == target and Path(source).name != "before":
            raise KeyboardInterrupt
        rename(source, to)

    monkeypatch.setattr(os, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        push(tiny_run, f"file:{target}", force=True)
    assert content(target) == kept and not list(tmp_path.glob(".*"))


def test_what_is_no_run(tiny_run: Path, tmp_path: Path) -> None:
    def copy(*names: str) -> Path:
        folder = tmp_path / f"part{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name in names:
            shutil.copyfile(tiny_run / name, folder / name)
        return folder

    out = str(tmp_path / "out")
    with pytest.raises(RunError, match=r"has no results\.json: finish it"):
        push(copy("spatial.safetensors"), out)
    with pytest.raises(RunError, match="has no model file"):
        push(copy("results.json"), out)
    with pytest.raises(RunError, match="no RUN folder"):
        push(tmp_path / "missing", out)
    with pytest.raises(RunError, match="no folder"):
        push(tiny_run, "file:" + str(tmp_path / "missing" / "out"))
    with pytest.raises(RunError, match="holds no model file"):
        pull(str(copy("results.json")), tmp_path / "out")
    with pytest.raises(UsageError, match="is an export"):
        exported = copy()
        (exported / "contract.json").write_text("{}")
        push(exported, out)
    damaged = copy("results.json")
    (damaged / "spatial.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelError) as caught:
        pull(str(damaged), tmp_path / "out")
    said = str(caught.value)
    assert said.startswith(f"{damaged / 'spatial.safetensors'} is not a safetensors file")
    assert said.endswith("get a whole copy of it")
    with pytest.raises(ModelError, match=r"--resume") as caught:
        (damaged / "README.md").touch()
        push(damaged, out)
    assert str(caught.value).startswith(str(damaged))
    foreign = copy("results.json", "spatial.safetensors")
    (foreign / "README.md").write_bytes("café".encode("latin-1"))
    with pytest.raises(RunError, match="save it as UTF-8"):
        push(foreign, out)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def test_the_licence_is_the_owners_word(tiny_run: Path, tmp_path: Path) -> None:
    push(tiny_run, f"file:{tmp_path / 'a'}", license_id="cc-by-4.0")
    assert 'license: "cc-by-4.0"\n' in (tmp_path / "a" / "README.md").read_text()
    assert "license: unknown\n" in (tiny_run / "README.md").read_text()
    with pytest.raises(UsageError, match="--license takes a word"):
        push(tiny_run, f"file:{tmp_path / 'b'}", license_id="a\nb: c")


@pytest.mark.parametrize(
    ("text", "repo"),
    [("anna/net", "anna/net"), ("hub:here/net", "here/net"), ("here/net", ""), ("net", "")],
)
def test_folder_or_repository(
    text: str, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert folder_or_repo(text) == (repo or Path(text))


@pytest.mark.parametrize("text", ["a/b/c", "https://a.org/x/y", "hub:x", "an na/net"])
def test_neither_folder_nor_repository(text: str) -> None:
    with pytest.raises(UsageError, match="no folder and no repository"):
        folder_or_repo(text)


class Hub:
    """The Hub library's functions, over a folder; told what they were asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.asked: list[tuple[str, Any]] = []
        self.failure: Exception | None = None
        monkeypatch.setattr(huggingface_hub.HfApi, "repo_exists", self.repo_exists)
        monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", self.create_repo)
        monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", self.upload_folder)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def _ask(self, name: str, value: Any) -> None:
        self.asked.append((name, value))
        if self.failure is not None:
            raise self.failure

    def repo_exists(self, repo: str) -> bool:
        self._ask("exists", repo)
        return (self.folder / repo).is_dir()

    def create_repo(self, repo: str, *, private: bool) -> None:
        self._ask("create", private)
        (self.folder / repo).mkdir(parents=True)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        commit_message: str,
        allow_patterns: list[str],
        delete_patterns: list[str],
    ) -> None:
        self._ask("upload", allow_patterns)
        for name in delete_patterns:
            (self.folder / repo_id / name).unlink(missing_ok=True)
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def snapshot_download(
        self, repo: str, *, revision: str | None, local_dir: Path, allow_patterns: list[str]
    ) -> None:
        self._ask("download", revision)
        for name in allow_patterns:
            if (self.folder / repo / name).is_file():
                shutil.copyfile(self.folder / repo / name, local_dir / name)
        (local_dir / ".cache" / "huggingface").mkdir(parents=True)  # as the library does
        (local_dir / "malware.pkl").write_bytes(b"x")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return Hub(tmp_path / "hub", monkeypatch)


def test_a_run_goes_through_the_hub(
    hub: Hub, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["push", str(tiny_run), "anna/net", "--private", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["target"] == "anna/net on the Hub" and set(told["files"]) == set(OF_CLIPS)
    assert hub.asked == [("exists", "anna/net"), ("create", True), ("upload", list(FILES))]
    assert sorted(content(hub.folder / "anna" / "net")) == sorted(OF_CLIPS)

    out = tmp_path / "pulled"
    arguments = ["pull", "anna/net", "--out", str(out), "--revision", "v1"]
    assert run_command(arguments) == 0
    assert hub.asked[-1] == ("download", "v1")
    assert content(out) == content(hub.folder / "anna" / "net")
    assert TwoStreamPredictor.load(out).spec == TwoStreamPredictor.load(tiny_run).spec

    assert run_command(["push", str(tiny_run), "anna/net"]) == 1
    assert "on the Hub already" in capsys.readouterr().err
    assert run_command(["push", str(tiny_run), "anna/net", "--force"]) == 0
    assert TOKEN not in "".join(capsys.readouterr())


def test_a_pushed_run_takes_the_place_of_the_one_before(
    hub: Hub, tiny_run: Path, tmp_path: Path
) -> None:
    """Not beside it: the other's temporal net and fusion would answer too."""
    assert run_command(["push", str(tiny_run), "anna/net"]) == 0
    less = tmp_path / "less"
    shutil.copytree(tiny_run, less)
    for name in ("temporal.safetensors", "fusion.json"):
        (less / name).unlink()
    (hub.folder / "anna" / "net" / "paper.pdf").touch()
    assert run_command(["push", str(less), "anna/net", "--force"]) == 0
    assert run_command(["pull", "anna/net", "--out", str(tmp_path / "pulled")]) == 0
    predictor = TwoStreamPredictor.load(tmp_path / "pulled")
    assert list(predictor.streams) == ["spatial"] and predictor.fusion is None
    assert (hub.folder / "anna" / "net" / "paper.pdf").is_file()


def test_the_hubs_refusals_are_one_sentence_without_the_token(
    hub: Hub, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.failure = OSError(f"401 for url with {TOKEN}\nInvalid user token {TOKEN}")
    assert run_command(["push", str(tiny_run), "anna/net"]) == 1
    assert run_command(["pull", "anna/net", "--out", str(tmp_path / "x")]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 2 and "hf auth login" in said.err
    assert TOKEN not in said.err + said.out
    assert not (tmp_path / "x").exists() and not list(tmp_path.glob(".*"))


def test_the_library_takes_what_it_is_asked() -> None:
    """The replaced functions above take what the library's own take."""
    api = huggingface_hub.HfApi
    signature(api.repo_exists).bind(api, "a/b")
    signature(api.create_repo).bind(api, "a/b", private=True)
    upload = {"repo_id": "a/b", "folder_path": "x", "commit_message": "x", "allow_patterns": []}
    upload |= {"delete_patterns": []}
    signature(api.upload_folder).bind(api, **upload)
    download = {"revision": None, "local_dir": "x", "allow_patterns": []}
    signature(huggingface_hub.snapshot_download).bind("a/b", **download)


def test_without_a_network(
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The library itself, told to stay offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert run_command(["pull", "anna/net", "--out", str(tmp_path / "x")]) == 1
    said = capsys.readouterr().err
    assert "the Hub did not take or give anna/net" in said and "Traceback" not in said
    with pytest.raises(UsageError, match="--revision is for repositories"):
        pull(str(tmp_path), tmp_path / "y", revision="v1")


@pytest.mark.parametrize("name", ["results.json", "spatial.safetensors"])
def test_pull_follows_no_link_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Who gives a folder away must not get at other files of the machine that takes it."""
    source, out = save_run(tmp_path / "source", [make_model(None)]), tmp_path / "out"
    (source / "results.json").write_text("{}")
    (source / name).rename(tmp_path / "private")
    (source / name).symlink_to(tmp_path / "private")
    with pytest.raises(RunError, match=f"{name} is a link out of its folder"):
        pull(f"file:{source}", out)
    assert not out.exists()
    (tmp_path / "private").rename(source / "kept")
    (source / name).unlink()
    (source / name).symlink_to("kept")  # inside it is as good as a file
    pull(f"file:{source}", out)
    assert (out / name).is_file() and not (out / name).is_symlink()
