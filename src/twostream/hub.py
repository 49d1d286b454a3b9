"""A run on the Hugging Face Hub, or in a folder of the same layout: push and pull.

Only what predicts and what judges travels: the model files, the learnt fusion, the card, results
and settings, with absolute paths cut down to names. No flow store, no scores of clips, nothing that
is unpickled.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from twostream.bout_model import read_bouts
from twostream.checkpoint import AGAIN
from twostream.files import read_json, staged, write_json, write_text
from twostream.log_linear import read_fusion
from twostream.prediction.answering_files import LEARNT, MODELS, refuse_probed
from twostream.prediction.contract import is_exported
from twostream.prediction.model_files import load_models
from twostream.report.card import CARD_NAME, card, without_paths
from twostream.report.run_contents import read_run
from twostream.types import ModelError, RunError, UsageError

JSON_FILES = ("results.json", "settings.json")
PLACES = ("data", "root", "run", "store", "weights", "temporal_weights")  # keys of paths in them
FILES = (*MODELS, CARD_NAME, *JSON_FILES, *LEARNT)
_EXTRA = frozenset({".gitattributes"})  # the Hub's own
_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_TOKEN = re.compile(r"hf_\w+")
_LICENSE = re.compile(r"^license:.*$", re.M)


def folder_or_repo(text: str) -> Path | str:
    """Return the folder, or the "user/name" of the Hub, where a run is pushed to or pulled from.

    "file:FOLDER" is a folder and "hub:user/name" a repository of the Hub. Without these words,
    what has a parent folder here is a folder, and "user/name" else is a repository.

    Raises:
        UsageError: it is neither.
    """
    if text.startswith("file:"):
        return Path(text.removeprefix("file:").removeprefix("//")).expanduser()
    repo = text.removeprefix("hub:")
    path = Path(text).expanduser()
    if repo == text and (text.startswith((".", "/", "~")) or path.parent.is_dir()):
        return path
    if not _REPO.fullmatch(repo):
        raise UsageError(
            f"{text!r} is no folder and no repository: expected user/name, or file:FOLDER"
        )
    return repo


def push(
    run: Path,
    target: str,
    *,
    force: bool = False,
    private: bool = False,
    license_id: str | None = None,
) -> dict[str, Any]:
    """Bring a finished run to the Hub, or into a folder of the Hub's layout.

    Args:
        run: the RUN folder.
        target: "user/name", or a folder; see ``folder_or_repo``.
        force: replace what is there.
        private: a repository that is made is private.
        license_id: as the Hub names it, for the card; None: what the card says.

    Returns:
        {"target", "files": name -> bytes}.

    Raises:
        UsageError: the target makes no sense, or ``run`` is an exported folder.
        RunError: the run is not finished, the target holds something, or the Hub refuses.
    """
    place = folder_or_repo(target)
    if is_exported(run):
        raise UsageError(f"{run} is an export: push the RUN folder that it was made from")
    if license_id is not None and not re.fullmatch(r"[\w.-]+", license_id):
        raise UsageError(f"--license takes a word such as mit or cc-by-4.0, got {license_id!r}")
    folder = place if isinstance(place, Path) else None
    if folder is not None:
        _check_free(folder, force=force)
    with staged(folder) as stage:
        _collect(run, stage, Path(place).name, license_id)
        _check_models(stage, str(run), AGAIN)
        if isinstance(place, Path):
            _check_free(place, force=force)
        else:
            _upload(stage, place, force=force, private=private)
        files = _sizes(stage)
    return {"target": _said(place), "files": files}


def pull(
    source: str, out: Path, *, revision: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Fetch a run, ready for ``twostream predict``.

    Args:
        source: "user/name" on the Hub, or a folder of the same layout.
        out: the folder to make.
        revision: branch, tag or commit on the Hub.
        force: replace a folder that holds a pulled run.

    Returns:
        {"source", "run", "files": name -> bytes}.

    Raises:
        UsageError: the source makes no sense.
        RunError: nothing there, no model in it, ``out`` holds something, or the Hub refuses.
        ModelError: a model file is damaged or of another version.
    """
    place = folder_or_repo(source)
    if revision is not None and isinstance(place, Path):
        raise UsageError("--revision is for repositories of the Hub, not for folders")
    _check_free(out, force=force)
    with staged(out) as stage:
        folder = place
        if isinstance(folder, str):
            folder = _download(folder, stage.with_name("download"), revision)
        _copy(folder, stage, _said(place))
        # before anything is replaced
        _check_models(stage, str(place), "get a whole copy of it")
        _check_free(out, force=force)
    return {"source": _said(place), "run": str(out), "files": _sizes(out)}


def _said(place: Path | str) -> str:
    return str(place) if isinstance(place, Path) else f"{place} on the Hub"


def _collect(run: Path, stage: Path, name: str, license_id: str | None) -> None:
    """Put what travels into a folder."""
    if not run.is_dir():
        raise RunError(f"no RUN folder {run}: train first (twostream train DATA --out RUN)")
    models = [run / model for model in MODELS if (run / model).is_file()]
    refuse_probed(run)
    if not models or not (run / "results.json").is_file():
        raise RunError(
            f"{run} is not a finished run, it has no "
            f"{'results.json' if models else 'model file'}: finish it (twostream train --resume)"
        )
    for path in (*models, *(run / each for each in LEARNT)):
        if path.is_file():
            shutil.copyfile(path, stage / path.name)
    contents = {each: read_json(run / each) for each in JSON_FILES if (run / each).is_file()}
    places = sorted(_places(list(contents.values())), key=len, reverse=True)
    for each, content in contents.items():
        content = _public(content, places)
        if each == "results.json" and "run" in content:
            content["run"] = name
        write_json(stage / each, content)
    if (run / CARD_NAME).is_file():
        try:
            text = (run / CARD_NAME).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"{run / CARD_NAME} cannot be read ({error}): save it as UTF-8"
            ) from error
    else:
        text = card(read_run(run), name)
    if license_id is not None:
        head, mark, rest = text.partition("\n---\n")
        if not mark or not _LICENSE.search(head):
            raise RunError(f"{run / CARD_NAME} has no licence field to set: edit it by hand")
        text = _LICENSE.sub(f'license: "{license_id}"', head) + mark + rest
    write_text(stage / CARD_NAME, _cut(text, places))


def _check_models(stage: Path, known_as: str, again: str) -> None:
    """Read what predicts; an error names the place that people know, and what they can do."""
    try:
        load_models(stage)
        read_fusion(stage)
        read_bouts(stage)
    except (ModelError, RunError) as error:
        words = str(error).replace(str(stage), known_as).replace(AGAIN, again)
        raise type(error)(words) from error


def _places(value: Any, key: str = "") -> set[str]:
    """Return the paths that JSON names as such: what is left of one is its last part."""
    if isinstance(value, dict):
        return {each for name, part in value.items() for each in _places(part, name)}
    if isinstance(value, list):
        return {each for part in value for each in _places(part, key)}
    is_path = isinstance(value, str) and key in PLACES and PureWindowsPath(value).name != value
    return {value} if is_path and PureWindowsPath(value).name else set()


def _cut(text: str, places: Sequence[str]) -> str:
    """Return text with the last part of each place alone."""
    for place in places:
        # not in the middle of another path or address
        alone = rf"(?<![\w./:-]){re.escape(place)}(?![\w-])"
        text = re.sub(alone, PureWindowsPath(place).name, text)
    return text


def _public(value: Any, places: Sequence[str]) -> Any:
    """Return JSON without the folders of places, the longest of these first, and absolute paths."""
    if isinstance(value, dict):
        return {key: _public(each, places) for key, each in value.items()}
    if isinstance(value, list):
        return [_public(each, places) for each in value]
    if isinstance(value, str):
        value = _cut(value, places)
        return Path(value).name if os.path.isabs(value) else without_paths(value)
    return value


def _copy(source: Path, stage: Path, said: str) -> None:
    """Copy what belongs to a run, and nothing else."""
    if not source.is_dir():
        raise RunError(f"no folder {source}")
    found = [name for name in FILES if (source / name).is_file()]
    if not set(found) & set(MODELS):
        raise RunError(f"{said} holds no model file ({' or '.join(MODELS)})")
    inside = source.resolve()
    for name in found:
        if not (source / name).resolve().is_relative_to(inside):  # somebody else's, of this machine
            raise RunError(
                f"{source / name} is a link out of its folder: put the file in its place"
            )
        shutil.copyfile(source / name, stage / name)


def _check_free(target: Path, *, force: bool) -> None:
    """Refuse a target that holds anything, or, by force, anything but a pushed or pulled run."""
    parent = target.absolute().parent
    if not parent.is_dir():
        raise RunError(f"no folder {parent}: make it first, or choose another place")
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise RunError(f"{target} is a file: choose another place")
    names = set(os.listdir(target))
    others = sorted(names - {*FILES, *_EXTRA})
    if others:
        raise RunError(f"{target} holds other things, such as {others[0]}: choose another place")
    if names and not force:
        raise RunError(f"{target} holds a run: add --force to replace it")


def _upload(stage: Path, repo: str, *, force: bool, private: bool) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    with _hub_errors(repo):
        if api.repo_exists(repo):
            if not force:
                raise RunError(
                    f"{repo} is on the Hub already: add --force to replace what is there"
                )
        else:
            api.create_repo(repo, private=private)
        api.upload_folder(
            repo_id=repo,
            folder_path=stage,
            commit_message="twostream push",
            allow_patterns=list(FILES),
            # of a run that was there: its other stream or fusion would answer beside this one's
            delete_patterns=[name for name in FILES if not (stage / name).exists()],
        )


def _download(repo: str, folder: Path, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    folder.mkdir()
    with _hub_errors(repo):
        snapshot_download(repo, revision=revision, local_dir=folder, allow_patterns=list(FILES))
    return folder


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn the Hub library's errors into one sentence, without what could be a token."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # noqa: BLE001 - a dozen kinds, of three libraries
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = _TOKEN.sub("hf_...", lines[0] if lines else type(error).__name__)
        raise RunError(
            f"the Hub did not take or give {repo} ({type(error).__name__}: {why}): check the name, "
            "the network, and that `hf auth login` was done"
        ) from None


def _sizes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
