"""The model card: RUN/README.md, with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from safetensors import safe_open

from twostream.checkpoint import read_spec
from twostream.files import write_text
from twostream.report.measures import Accuracy, accuracy, calibration, chance, recalls
from twostream.report.run_contents import NAMES, RunContents, part, read_run
from twostream.report.templating import render
from twostream.report.wording import percent

CARD_NAME = "README.md"
UNKNOWN_LICENSE = "unknown"  # the Hub's word; only who owns the clips can say more
_TOPICS = ("recipe", "temporal_input", "store", "start", "versions")  # of the settings
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
    """Return a run's card; ``license_id`` is of the weights, as the Hub names licences."""
    found = {stream: accuracy(scores) for stream, scores in contents.test.items()}
    first, scores = next(iter(contents.test.values())), contents.test[contents.reference]
    shares = dict(zip(scores.classes, recalls(scores), strict=True))
    topics = {name: part(contents.settings, name) for name in _TOPICS}
    return render(
        "report/templates/card.md.j2",
        metadata=_metadata(contents, name, license_id, found),
        name=name,
        word=re.sub(r"[^\w.-]+", "-", name) or "RUN",  # one word in a shell
        names=NAMES,
        accuracies=found,
        chance=chance(first),
        dataset=_dataset(contents),
        settings=contents.settings,
        train_videos=contents.results.get("train_videos", "?"),
        tested=len(first.video_ids),
        notes=[without_paths(note) for note in contents.split_notes()],
        classes=first.classes,
        begun=_begun(topics.pop("start")),
        trained=_trained(contents),
        files=[_file(path) for path in sorted(contents.run.glob("*.safetensors"))],
        reference=NAMES[contents.reference],
        learnt=contents.learnt,
        calibration=calibration(scores),
        never=[label for label, share in shares.items() if share == 0],
        untested=[label for label, share in shares.items() if math.isnan(share)],
        unreadable=len(scores.unreadable),
        **topics,
    )


def without_paths(text: str) -> str:
    """Return a text in which absolute paths are cut down to their last part.

    >>> without_paths("split of /home/anna/clips, see docs/data.md and https://a.org/b/c")
    'split of clips, see docs/data.md and https://a.org/b/c'
    """
    return _PATH.sub(r"\1", text)


def _metadata(contents: RunContents, name: str, license_id: str, found: dict[str, Accuracy]) -> str:
    """Return the front matter that the Hub reads, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="video-classification",
            dataset_type=_dataset(contents),
            dataset_name=_dataset(contents),
            metric_type="accuracy",
            metric_value=round(each.share, 4),
            metric_name=NAMES[stream],
        )
        for stream, each in found.items()
    ]
    return ModelCardData(
        license=license_id,
        library_name="twostream",
        pipeline_tag="video-classification",
        tags=["action-recognition", "two-stream", "optical-flow"],
        metrics=["accuracy"],
        model_name=name,
        eval_results=results,
    ).to_yaml()


def _trained(contents: RunContents) -> str:
    """Return how many steps each net was trained for, and how many of its weights."""
    parts = []
    for stream, log in contents.history.items():
        if log:
            share = log.get("trained_share")
            partly = f", {percent(share)} of its weights" if share and share < 1 else ""
            parts.append(f"{log['history'][-1]['step']:.0f} ({stream}{partly})")
    return f"{' and '.join(parts) or part(contents.settings, 'recipe').get('steps', '?')} steps"


def _begun(start: dict[str, Any]) -> str:
    """Return what training started from."""
    weights = [str(start[key]) for key in ("weights", "temporal_weights") if start.get(key)]
    otherwise = "pre-trained weights" if start.get("pretrained") else "scratch"
    return ", ".join(Path(weight).name for weight in weights) or otherwise


def _file(path: Path) -> dict[str, Any]:
    """Return a model file's name, architecture, count of numbers and size in bytes."""
    with safe_open(path, "numpy") as file:
        spec = read_spec(path, file.metadata())
        count = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    size = path.stat().st_size
    return {"name": path.name, "network": spec.architecture, "numbers": count, "bytes": size}


def _dataset(contents: RunContents) -> str:
    return str(contents.settings.get("dataset") or "data that is not named")
