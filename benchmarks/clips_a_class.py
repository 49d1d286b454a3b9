"""Accuracy over clips a class on an official test split: recipes, and a probe on frozen features.

    python benchmarks/clips_a_class.py ../shared/data/jhmdb --split 1 --clips 2,5,10,20 \
        --recipes quick,standard --seeds 0 --work DIR --out docs/clips-a-class.md

Each number of clips and seed is a list of its own, drawn clip by clip, the same of each class; a
larger one holds the smaller ones. Every recipe is trained on each, in a RUN folder; what is
finished is not done again. Size, rate and length of the stack follow the whole training side, so
that all runs of a recipe share one store. The probe is a logistic regression on the mean of the
penultimate features of five frames (their largest centred square, at 224 px) by EfficientNet-Lite0
as ImageNet left it; its C is chosen on folds by group of the clips that it learns from. The table
is made of files alone; the last recipe is compared with all others.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from twostream.datasets import SplitChoice, load_dataset
from twostream.experiments.paired_differences import Interval, group_interval
from twostream.files import whole, write_text
from twostream.initialise import NetSettings, Start, starting_network
from twostream.recipes import STANDARD, make_recipe
from twostream.run import RunSettings, extract_split, store_for, train_run
from twostream.run.measured_curve import nested_part
from twostream.run.training_run import fitted
from twostream.sampling import even_indices
from twostream.scoring import centre_crop, load_scores, save_scores
from twostream.types import STREAMS, DatasetSplit, LabeledVideo, VideoScores
from twostream.video import VideoReader

PROBE = "probe"
FRAMES, CROP = 5, 224
PENALTIES = 10.0 ** np.arange(-5, 2)  # C of the logistic regression
INNER_FOLDS = 4


class Work:
    """The folder of a benchmark: lists, stores, runs, features; what lies there is not made again.

    Args:
        folder: of all this.
        official: the split.

    Attributes:
        split: the same, as the list of all clips names it, and so all runs.
    """

    def __init__(self, folder: Path, official: DatasetSplit) -> None:
        self.folder = folder.resolve()
        self.all = self.write_list("all", official, official.train)
        self.split = load_dataset(self.all).split(1)

    def write_list(self, name: str, split: DatasetSplit, train: Sequence[LabeledVideo]) -> Path:
        """Write a list of training clips and all test clips."""
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["path", "label", "group", "split"])
        for side, videos in (("train", train), ("test", split.test)):
            for video in videos:
                label = split.classes[video.label]
                rows.writerow([video.path.resolve(), label, video.group or "", side])
        path = self.folder / "lists" / f"{name}.csv"
        write_text(path, text.getvalue())
        return path

    def part(self, clips: int, seed: int) -> tuple[LabeledVideo, ...]:
        """Return so many training clips of each class, drawn clip by clip."""
        alone = [replace(video, group=None) for video in self.split.train]
        drawn = {video.video_id for video in nested_part(alone, clips, seed=seed)}
        return tuple(video for video in self.split.train if video.video_id in drawn)

    def list_of(self, clips: int, seed: int) -> Path:
        """Write the list of a part."""
        return self.write_list(f"clips-{clips}-seed{seed}", self.split, self.part(clips, seed))

    def run(self, recipe: str, clips: int, seed: int) -> Path:
        """Return a RUN folder."""
        return self.folder / "runs" / f"{recipe}-{clips}-seed{seed}"

    def probe(self, clips: int, seed: int) -> Path:
        """Return the score file of the probe."""
        return self.folder / "probe" / f"clips-{clips}-seed{seed}.npz"


def extracted(work: Work, recipe: str, steps: int | None) -> RunSettings:
    """Return settings that fit the whole training side, with all clips in the recipe's store."""
    wanted = RunSettings(
        data=str(work.all),
        recipe=make_recipe(recipe, steps=steps),
        choice=SplitChoice(split=1),
        store=str(work.folder / f"store-{recipe}"),
    )
    split, root = work.split, Path(str(wanted.store))
    found, _ = fitted(wanted, split, work.folder)
    settings = replace(found, recipe=found.recipe.settled("size").settled("length"))
    extract_split(
        split,
        root,
        store_for(settings.stored, root, split),
        kinds=settings.kinds(),
        smallest_side=settings.recipe.smallest_side,
    )
    return settings


def trained(work: Work, settings: RunSettings, clips: int, seed: int) -> None:
    """Train a recipe on so many clips of each class, unless it is done."""
    folder = work.run(settings.recipe.name, clips, seed)
    if (folder / "results.json").is_file():
        return
    started = time.perf_counter()
    own = replace(settings, data=str(work.list_of(clips, seed)), seed=seed)
    results = train_run(own, folder, resume=True)
    print(f"{folder.name}: {results['accuracy']} {time.perf_counter() - started:.0f} s", flush=True)


def features(work: Work) -> dict[str, np.ndarray]:
    """Return video id -> the mean of the frozen features of its frames, (1280,)."""
    path = work.folder / "features.npz"
    if path.is_file():
        with np.load(path) as kept:
            return dict(kept)
    settings = NetSettings(stream="spatial", recipe=STANDARD, start=Start(weights="imagenet"))
    network, said = starting_network(settings, len(work.split.classes))
    network.reset_classifier(0)  # type: ignore[operator]
    network.eval()
    found = {}
    for done, video in enumerate(work.split.videos(), start=1):
        with VideoReader(video.path, short_side=STANDARD.short_side) as reader:
            frames = [frame.rgb for frame in reader]
        chosen = np.stack([frames[i] for i in even_indices(len(frames), FRAMES)])
        stacks = torch.from_numpy(chosen).permute(0, 3, 1, 2)[:, None].float() / 255
        crops, _ = centre_crop(stacks, CROP, is_flow=False, flips=False)
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (said.mean, said.std))
        with torch.inference_mode():
            found[video.video_id] = network((crops[:, 0, 0] - mean) / std).mean(dim=0).numpy()
        if done % 50 == 0:
            print(f"features: {done}/{len(work.split.videos())}", flush=True)
    with whole(path) as file:
        np.savez(file, **found)
    return found


def probed(work: Work, clips: int, seed: int) -> None:
    """Fit the probe on so many clips of each class and score the test clips, unless it is done."""
    path = work.probe(clips, seed)
    if path.is_file():
        return
    known, train, test = features(work), work.part(clips, seed), work.split.test
    x, rows = (np.stack([known[video.video_id] for video in side]) for side in (train, test))
    labels = np.array([video.label for video in train])
    groups = np.array([video.group or f"/{video.video_id}" for video in train])
    penalty = chosen_penalty(x, labels, groups)
    model = probe_of(penalty).fit(x, labels)
    scores = np.zeros((len(test), len(work.split.classes)), np.float32)
    scores[:, model.classes_] = model.predict_proba(rows)
    ids, truth = tuple(v.video_id for v in test), np.array([v.label for v in test])
    found = VideoScores(ids, truth, work.split.classes, scores, "probabilities", PROBE)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_scores(path, found)
    print(f"probe, {clips} clips, seed {seed}: {found.accuracy():.3f}, C {penalty:g}", flush=True)


def probe_of(penalty: float):
    """Return a logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000))


def chosen_penalty(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Return the C of the best accuracy on folds by group; among equals the smallest."""
    count = min(INNER_FOLDS, int(np.bincount(labels).max()), len(set(groups)))
    if count < 2:
        return 1.0
    right = np.zeros(len(PENALTIES))
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The least populated class")
        for fit, held_out in splitter.split(x, labels, groups):
            for i, penalty in enumerate(PENALTIES):
                said = probe_of(penalty).fit(x[fit], labels[fit]).predict(x[held_out])
                right[i] += (said == labels[held_out]).sum()
    return float(PENALTIES[right.argmax()])


def right(files: Sequence[Path], ids: Sequence[str]) -> np.ndarray:
    """Return (n,) the share of the seeds in which each test clip is right."""
    return np.mean([load_scores(file).select(ids).correct() for file in files], axis=0)


def answer(run: Path) -> Path:
    """Return the score file of what a run answers."""
    fused = run / "scores" / "fused-test.npz"
    return fused if fused.is_file() else run / "scores" / "average-test.npz"


def table(work: Work, recipes: Sequence[str], clips: Sequence[int], seeds: Sequence[int]) -> str:
    """Return the table, of score files alone; all must be there."""
    ids = [video.video_id for video in work.split.test]
    groups = [video.group or video.video_id for video in work.split.test]
    others = (*recipes[:-1], PROBE)
    header = ["clips a class", "training clips"]
    header += [f"{recipe}, {each}" for recipe in recipes for each in (*STREAMS, "answer")]
    header += [PROBE, *(f"{recipes[-1]} less {other}" for other in others)]
    lines = [header, ["---"] * len(header)]
    for many in clips:
        cells = [str(many), str(len(work.part(many, seeds[0])))]
        answers = {}
        for recipe in recipes:
            runs = [work.run(recipe, many, seed) for seed in seeds]
            for stream in STREAMS:
                found = right([run / "scores" / f"{stream}-test.npz" for run in runs], ids)
                cells.append(f"{100 * found.mean():.1f}")
            answers[recipe] = right([answer(run) for run in runs], ids)
            cells.append(in_words(group_interval(answers[recipe], groups, least=0)))
        answers[PROBE] = right([work.probe(many, seed) for seed in seeds], ids)
        cells.append(in_words(group_interval(answers[PROBE], groups, least=0)))
        for other in others:
            cells.append(in_words(group_interval(answers[recipes[-1]] - answers[other], groups)))
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_words(found: Interval) -> str:
    """Return "71.6 (66..77)"."""
    return f"{found.mean:.1f} ({found.low:.1f}..{found.high:.1f})"


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--split", type=int, default=1)
    parser.add_argument("--clips", type=numbers, default=[2, 5, 10, 20])
    parser.add_argument("--recipes", default="quick,standard", help="the last is compared")
    parser.add_argument("--seeds", type=numbers, default=[0])
    parser.add_argument("--steps", type=int, help="of every training; only to try this out")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    recipes = options.recipes.split(",")
    official = load_dataset(options.data).split(options.split)
    work = Work(options.work, official)
    cells = list(itertools.product(options.clips, options.seeds))
    for clips, seed in cells:
        probed(work, clips, seed)
    for recipe in recipes:
        settings = extracted(work, recipe, options.steps)
        for clips, seed in cells:
            trained(work, settings, clips, seed)
    made = table(work, recipes, options.clips, options.seeds)
    print(made)
    if options.out:
        name = f"{official.dataset}, {official.name}"
        text = (
            f"<!-- written by benchmarks/clips_a_class.py -->\n# Accuracy over clips a class\n\n"
            f"{name}: percent of the {len(official.test)} test clips, seeds "
            f"{', '.join(map(str, options.seeds))}, with 95% intervals by bootstrap over groups; "
            "differences are paired, in points. Answer: what `predict` answers with. The probe: "
            "logistic regression on frozen ImageNet features of five frames.\n\n"
        )
        write_text(options.out, f"{text}{made}\n")


if __name__ == "__main__":
    main()
