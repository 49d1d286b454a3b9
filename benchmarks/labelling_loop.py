"""How many labels a study needs where the page proposes the moments, and where they are random.

    python benchmarks/joined_recordings.py CLIPS.csv --out JOINED
    python benchmarks/labelling_loop.py JOINED --work DIR --out docs/labelling-loop.md

Simulated: of two thirds of the recordings, drawn by seed, nothing is labelled at first. Someone who
knows labels twenty moments at a time (from eighty labels on a quarter more each time, for want of
days): the whole bout in which a moment lies, or the whole time without one. After each the answers
are updated as the page does (``run.quick_update``): new last layers on what the ImageNet networks,
which saw no label, make of each moment. The moments are
those that ``web.proposals`` names, or random ones; the first twenty are the same random ones. What
is judged are time lines of the other third: F1 of time, mean over labels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twostream.datasets import load_dataset
from twostream.datasets.labelled_recordings import read_recordings
from twostream.judging import compare_labels
from twostream.labels import Labels, Recording, read_labels
from twostream.labels.formats import joined_labels
from twostream.labels.recordings import joined
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.timeline_labels import timeline_labels
from twostream.prediction.video_features import VideoFeatures, featured_timeline
from twostream.recipes import make_recipe
from twostream.run import RunSettings
from twostream.run.probed_run import probe_run
from twostream.run.quick_update import FeaturesOf, UpdatePlace, starting_models
from twostream.web.forecasts import Forecast, plain
from twostream.web.proposals import APART_SECONDS, proposals

A_ROUND, ENOUGH = 20, 0.95
MORE = 0.25  # of the labels so far, where that is more than a round: it takes less time
ROUNDS = 30
POLICIES = ("proposed", "random")


class Study:
    """Recordings of which more and more is labelled.

    Args:
        folder: of videos, and labels.csv with all that is true.
        features: video -> what the networks make of it.
        models: these networks.
    """

    def __init__(self, folder: Path, features: Mapping[str, VideoFeatures], models: list) -> None:
        self.folder, self.features, self.models = folder, features, models
        self.true = {each.video: each for each in read_labels(folder).recordings}
        self.classes = read_labels(folder).classes

    def seconds(self, video: str) -> float:
        """Return how long a video is."""
        return self.features[video].frames / self.features[video].rate

    def predictor(self, known: Mapping[str, Recording], seed: int) -> TwoStreamPredictor:
        """Return what answers after these labels."""
        labels = Labels(tuple(each for each in known.values() if each.watched), self.classes)
        dataset = read_recordings(labels, self.folder)
        with tempfile.TemporaryDirectory() as run:
            probe_run(self.models, dataset, labels, self.features, Path(run), seed=seed)
            return TwoStreamPredictor.load(run)

    def f1(self, predictor: TwoStreamPredictor, videos: Sequence[str]) -> float:
        """Return the F1 of time of what is predicted of these videos, mean over labels."""
        found = [
            timeline_labels(
                featured_timeline(predictor, self.features[each], self.folder / each), self.folder
            )
            for each in videos
        ]
        true = Labels(tuple(self.true[each] for each in videos), self.classes)
        return compare_labels(true, joined_labels(self.folder, found)).overall["f1"].value or 0.0

    def told(self, known: Recording, seconds: float) -> Recording:
        """Return what is known once somebody who knows has looked at a moment."""
        true, video = self.true[known.video], known.video
        for bout in true.bouts:
            if bout.start_seconds <= seconds < bout.end_seconds:
                span = (bout.start_seconds, bout.end_seconds)
                return replace(
                    known,
                    bouts=(*known.bouts, bout),
                    watched=joined([*(known.watched or ()), span]),
                )
        start = max((b.end_seconds for b in true.bouts if b.end_seconds <= seconds), default=0.0)
        later = (b.start_seconds for b in true.bouts if b.start_seconds > seconds)
        span = (start, min(later, default=self.seconds(video)))
        return replace(known, watched=joined([*(known.watched or ()), span]))

    def proposed(
        self, predictor: TwoStreamPredictor, known: Mapping[str, Recording], count: int
    ) -> list[tuple[str, float]]:
        """Return the moments that the page would name."""
        forecasts = {
            video: Forecast.of(
                plain(featured_timeline(predictor, self.features[video], self.folder / video))
            )
            for video in known
        }
        watched = {video: each.watched or () for video, each in known.items()}
        return [(each.video, each.seconds) for each in proposals(forecasts, watched, most=count)]

    def random(
        self, known: Mapping[str, Recording], rng: np.random.Generator, count: int = A_ROUND
    ) -> list[tuple[str, float]]:
        """Return moments, evenly over the time that nobody has looked at."""
        videos = list(known)
        lengths = np.array([self.seconds(video) for video in videos])
        found: list[tuple[str, float]] = []
        for _ in range(100 * count):
            place = int(rng.choice(len(videos), p=lengths / lengths.sum()))
            moment = (videos[place], float(rng.uniform(0, lengths[place])))
            seen = any(a <= moment[1] < b for a, b in known[moment[0]].watched or ())
            near = any(v == moment[0] and abs(s - moment[1]) < APART_SECONDS for v, s in found)
            if not seen and not near:
                found.append(moment)
            if len(found) == count:
                break
        return found


def simulate(
    study: Study, how: str, seed: int, full: float, pool: list[str], test: list[str]
) -> list[tuple[int, float, float]]:
    """Return (labels, F1) after each round, until the F1 is that of ``ENOUGH`` of all labels."""
    rng = np.random.default_rng(seed)
    known = {video: Recording(video, (), watched=()) for video in pool}
    moments, labels, curve = study.random(known, rng), 0, []
    for _ in range(ROUNDS):
        for video, seconds in moments:
            if not any(a <= seconds < b for a, b in known[video].watched or ()):
                known[video] = study.told(known[video], seconds)
                labels += 1
        started = time.perf_counter()
        predictor = study.predictor(known, seed)
        curve.append((labels, study.f1(predictor, test), time.perf_counter() - started))
        print(f"seed {seed}, {how}: {labels} labels, F1 {curve[-1][1]:.3f}", flush=True)
        if curve[-1][1] >= ENOUGH * full:
            break
        count = max(A_ROUND, round(MORE * labels))
        if how == "proposed":
            moments = study.proposed(predictor, known, count)
        else:
            moments = study.random(known, rng, count)
        if not moments:
            break
    return curve


def document(name: str, done: Sequence[dict[str, Any]]) -> str:
    """Return what came of all seeds."""

    def needed(each: dict[str, Any], how: str) -> str:
        labels, f1, _ = each["curves"][how][-1]
        return f"{labels}" if f1 >= ENOUGH * each["full"] else f"over {labels} ({f1:.3f})"

    def total(how: str) -> int:
        return sum(each["curves"][how][-1][0] for each in done)

    shares = [each["curves"]["proposed"][-1][0] / each["curves"]["random"][-1][0] for each in done]
    rows = [
        f"| {each['seed']} | {each['full']:.3f} | {needed(each, 'proposed')} | "
        f"{needed(each, 'random')} | {share:.2f} |"
        for each, share in zip(done, shares, strict=True)
    ]
    means = [
        f"| {number + 1} | "
        + " | ".join(
            f"{np.mean([each['curves'][how][number][k] for each in done]):{form}}"
            for how in POLICIES
            for k, form in ((0, ".0f"), (1, ".3f"))
        )
        + " |"
        for number in range(min(len(each["curves"][how]) for each in done for how in POLICIES))
    ]
    share = total("proposed") / total("random")
    slowest = max(row[2] for each in done for how in POLICIES for row in each["curves"][how])
    return f"""<!-- written by benchmarks/labelling_loop.py -->
# Labels that a study needs

Simulated on {name}: {done[0]["hours"] * 60:.0f} minutes of recordings with known bouts, of which
two thirds, drawn by seed, are to be labelled and one third is judged. Someone who knows labels
{A_ROUND} moments at a time (from {A_ROUND / MORE:.0f} labels on a quarter more each time), each
with the whole bout in which it lies, or all the time without one; then the answers are updated as
the page does: new last layers for the networks that a training of
`standard` starts from, which saw no label at all. Moments are those that the page proposes, or
random ones; the first {A_ROUND} are the same random ones. F1 of time, mean over labels, of time
lines of the recordings that are judged.

Labels until the F1 is {100 * ENOUGH:.0f}% of that with all labels:

| seed | F1 with all labels | proposed moments | random moments | share |
|---|---|---|---|---|
{chr(10).join(rows)}

The mean share is {np.mean(shares):.2f}; of all labels together {share:.2f}.

Means after each round:

| round | labels, proposed | F1 | labels, random | F1 |
|---|---|---|---|---|
{chr(10).join(means)}

An update, its predictions of the recordings that are judged and their F1 took at most
{slowest:.0f} s, and with all labels {max(each["seconds"] for each in done):.0f} s, beside other
work on two cores.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--flow", default=None)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = make_recipe("standard", flow=options.flow)
    settings = RunSettings(
        data=str(options.folder), recipe=recipe, store=str(options.work / "flow-standard")
    )
    place = UpdatePlace(
        labels=options.folder, runs=options.work, base=None, settings=settings, device="cpu"
    )
    told = [0.0]

    def progress(task: str, done: float, total: float, detail: str = "") -> None:
        if time.monotonic() - told[0] > 20:
            told[0] = time.monotonic()
            print(f"{task}: {done:g}/{total:g} {detail}", flush=True)

    dataset = load_dataset(str(options.folder))
    models = starting_models(place, dataset, progress)
    names = sorted({video.path.name for video in dataset.videos})
    features = dict(FeaturesOf(place, models, {n: options.folder / n for n in names}, progress))
    study = Study(options.folder, features, models)
    for seed in options.seeds:
        kept = options.work / f"seed-{seed}.json"
        if kept.is_file():
            continue
        order = np.random.default_rng(1000 + seed).permutation(len(names))
        pool = [names[i] for i in order[: 2 * len(names) // 3]]
        test = [names[i] for i in order[2 * len(names) // 3 :]]
        everything = {v: replace(study.true[v], watched=((0, study.seconds(v)),)) for v in pool}
        started = time.perf_counter()
        full = study.f1(study.predictor(everything, seed), test)
        whole = time.perf_counter() - started
        print(f"seed {seed}: F1 with all labels {full:.3f}, {whole:.0f} s", flush=True)
        curves = {how: simulate(study, how, seed, full, pool, test) for how in POLICIES}
        hours = sum(study.seconds(v) for v in names) / 3600
        kept.write_text(
            json.dumps(
                {"seed": seed, "full": full, "seconds": whole, "hours": hours, "curves": curves}
            )
        )
    done = [json.loads(path.read_text()) for path in sorted(options.work.glob("seed-*.json"))]
    text = document(options.folder.name, done)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
