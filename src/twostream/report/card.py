"""The model card: RUN/README.md, with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from safetensors import safe_open

from twostream.checkpoint import read_spec
from twostream.files import write_text
from twostream.report.contents import NAMES, RunContents, read_run
from twostream.report.measures import Accuracy, accuracy, chance, recalls

CARD_NAME = "README.md"
UNKNOWN_LICENSE = "unknown"  # the Hub's word; only who owns the clips can say more
_PATH = re.compile(r"(?<![\w./:])/(?:[^/\s:;,'\"()]+/)+([^/\s:;,'\"()]+)")


def write_card(run: Path) -> Path:
    """Write a finished run's card; one that is there stays, it may have been edited.

    Raises:
        RunError: the run has no scores of test clips.
    """
    path = run / CARD_NAME
    if not path.exists():
        write_text(path, card(read_run(run), run.resolve().name))
    return path


def card(contents: RunContents, name: str, *, license_id: str = UNKNOWN_LICENSE) -> str:
    """Return a run's card.

    Args:
        contents: the run.
        name: what the model is called.
        license_id: of the weights, as the Hub names licences.
    """
    found = {stream: accuracy(scores) for stream, scores in contents.test.items()}
    sections = [
        _front_matter(contents, name, license_id, found),
        f"# {name}\n\nA two-stream action recogniser (Simonyan and Zisserman 2014), trained with "
        "twostream: one network looks at single frames, one at stacks of optical flow, and their "
        "scores are fused.",
        _accuracies(contents, found),
        _data(contents),
        _recipe(contents),
        _files(contents.run),
        _limits(contents),
        f"## Use\n\n```bash\ntwostream pull SOURCE --out {_word(name)}\n"
        f"twostream predict {_word(name)} VIDEO\n```\n\nFlow is computed inside, with the settings "
        "that the model files carry.",
    ]
    return "\n\n".join(sections) + "\n"


def without_paths(text: str) -> str:
    """Return a text in which absolute paths are cut down to their last part.

    >>> without_paths("split of /home/anna/clips, see docs/data.md and https://a.org/b/c")
    'split of clips, see docs/data.md and https://a.org/b/c'
    """
    return _PATH.sub(r"\1", text)


def _front_matter(
    contents: RunContents, name: str, license_id: str, found: dict[str, Accuracy]
) -> str:
    """Return YAML; its strings are JSON strings, which YAML reads."""
    dataset = json.dumps(_dataset(contents), ensure_ascii=False)
    lines = [
        "---",
        f"license: {json.dumps(license_id)}",
        "library_name: twostream",
        "pipeline_tag: video-classification",
        "tags:",
        *(f"- {tag}" for tag in ("action-recognition", "two-stream", "optical-flow")),
        "metrics:",
        "- accuracy",
        "model-index:",
        f"- name: {json.dumps(name, ensure_ascii=False)}",
        "  results:",
        "  - task:",
        "      type: video-classification",
        "    dataset:",
        f"      name: {dataset}",
        f"      type: {dataset}",
        "    metrics:",
    ]
    for stream, each in found.items():
        lines += [
            "    - type: accuracy",
            f"      value: {each.share:.4f}",
            f"      name: {json.dumps(NAMES[stream])}",
        ]
    return "\n".join([*lines, "---"])


def _accuracies(contents: RunContents, found: dict[str, Accuracy]) -> str:
    rows = [
        f"| {NAMES[stream]} | {_percent(each.share)} | {_percent(each.low)} to "
        f"{_percent(each.high)} | {each.correct} of {each.n} |"
        for stream, each in found.items()
    ]
    guess = chance(next(iter(contents.test.values())))
    return (
        "## Accuracy on test clips\n\n| | accuracy | 95% interval | clips |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nIntervals are Wilson's. Always guessing the commonest class gives "
        f"{_percent(guess)}. `twostream predict` gives each stream and the average."
    )


def _data(contents: RunContents) -> str:
    results = contents.results
    scores = next(iter(contents.test.values()))
    lines = [
        f"- Data: {_dataset(contents)}, {contents.setting('split') or 'no split named'}.",
        f"- Clips: {results.get('train_videos', '?')} to train, {len(scores.video_ids)} to test.",
        *(f"- {without_paths(str(note))}" for note in contents.setting("notes") or ()),
        f"- {len(scores.classes)} classes: {', '.join(scores.classes)}.",
    ]
    others = contents.setting("others")
    if others:
        lines.append(
            f"- Trained on other data too ({contents.setting('how')}): {', '.join(others)}."
        )
    return "## Data and classes\n\n" + "\n".join(lines)


def _recipe(contents: RunContents) -> str:
    recipe: dict[str, Any] = contents.setting("recipe") or {}
    temporal: dict[str, Any] = contents.setting("temporal_input") or {}
    store: dict[str, Any] = contents.setting("store") or {}
    start: dict[str, Any] = contents.setting("start") or {}
    switches = [
        words
        for key, words in (
            ("trajectory", "along trajectories"),
            ("bidirectional", "both ways"),
            ("subtract_mean", "mean subtracted"),
        )
        if temporal.get(key)
    ]
    kind = "RGB frames" if temporal.get("rgb") else "flow fields"
    weights = [str(start[key]) for key in ("weights", "temporal_weights") if start.get(key)]
    begun = ", ".join(Path(weight).name for weight in weights) or (
        "pre-trained weights" if start.get("pretrained") else "scratch"
    )
    parameters = ", ".join(f"{k} {v}" for k, v in (store.get("parameters") or {}).items())
    fps = store.get("fps")
    lines = [
        f"- Recipe `{recipe.get('name', '?')}`: {recipe.get('steps', '?')} steps of "
        f"{recipe.get('batch_size', '?')} samples, seed {contents.setting('seed')}, started from "
        f"{begun}.",
        f"- Temporal input: {temporal.get('length', '?')} {kind}"
        + "".join(f", {words}" for words in switches)
        + ".",
        f"- Flow: `{store.get('flow', '?')}`{f' ({parameters})' if parameters else ''}.",
        f"- Frames: shorter side at most {store.get('short_side', '?')} px, crops of "
        f"{recipe.get('crop_size', '?')} px, "
        f"{f'{fps:g} frames/s' if fps else 'frame rate of the clips'}.",
    ]
    versions: dict[str, Any] = contents.setting("versions") or {}
    if versions:
        lines.append("- Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".")
    return "## Recipe\n\n" + "\n".join(lines)


def _files(run: Path) -> str:
    lines = []
    for path in sorted(run.glob("*.safetensors")):
        with safe_open(path, "numpy") as file:
            spec = read_spec(path, file.metadata())
            count = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        size = path.stat().st_size
        lines.append(
            f"- `{path.name}`: {spec.architecture}, {count / 1e6:.1f} million numbers, "
            f"{size / 1e6:.1f} MB"
        )
    return "## Files\n\n" + "\n".join(lines)


def _limits(contents: RunContents) -> str:
    scores = contents.test[contents.reference]
    name = NAMES[contents.reference]
    recall = recalls(scores)
    never = [c for c, share in zip(scores.classes, recall, strict=True) if share == 0]
    untested = [c for c, share in zip(scores.classes, recall, strict=True) if share != share]
    lines = [
        "- It knows the classes above and answers with one of them for any video.",
        "- Measured on one split of one data set; other cameras, people and places were not "
        "tested.",
    ]
    if never:
        lines.append(f"- {name} had no test clip right of: {', '.join(never)}.")
    if untested:
        lines.append(f"- Without a test clip: {', '.join(untested)}.")
    if scores.unreadable:
        lines.append(f"- {len(scores.unreadable)} test clips could not be read and count as wrong.")
    if contents.setting("recipe", "flips") is False:
        lines.append("- Trained without mirrored clips: it may tell left from right.")
    lines.append(
        "- Licence: the front matter holds what its owner declared; `unknown` until somebody does. "
        "What the clips' licences allow is for their owner to say."
    )
    return "## Limits\n\n" + "\n".join(lines)


def _dataset(contents: RunContents) -> str:
    return str(contents.setting("dataset") or "data that is not named")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _word(name: str) -> str:
    """Return a name that is one word in a shell."""
    return re.sub(r"[^\w.-]+", "-", name) or "RUN"
