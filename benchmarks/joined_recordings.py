"""Long recordings with known bouts, joined from the trimmed clips of each group.

    python benchmarks/joined_recordings.py CLIPS.csv --out FOLDER [--seed 0]

The clips of a group (a person, a film) follow each other in a random order, each once; before,
between and behind them lie one to four seconds of background, in which the last frame stands still
under the noise of a camera. Nothing is mixed over groups. FOLDER/labels.csv has the bouts.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from twostream.datasets import load_dataset
from twostream.files import write_text
from twostream.types import LabeledVideo
from twostream.video import VideoReader, VideoWriter

NOISE = 2.0  # standard deviation of the camera's noise in grey values
LEAST_SECONDS, MOST_SECONDS = 1.0, 4.0  # of background


def join(videos: list[LabeledVideo], path: Path, rng: np.random.Generator) -> list[list[object]]:
    """Write a recording; return label, start and end in seconds of each clip in it."""
    clips = [videos[i] for i in rng.permutation(len(videos))]
    with VideoReader(clips[0].path) as reader:
        first = next(iter(reader)).rgb
        fps = reader.info.fps
    height, width = (side // 2 * 2 for side in first.shape[:2])
    bouts: list[list[object]] = []
    count = 0
    with VideoWriter(path, fps=fps, height=height, width=width) as writer:

        def write(frame: np.ndarray) -> None:
            nonlocal count
            writer.write(np.ascontiguousarray(frame))
            count += 1

        def stand(frame: np.ndarray) -> None:
            for _ in range(round(rng.uniform(LEAST_SECONDS, MOST_SECONDS) * fps)):
                noisy = frame + rng.normal(0, NOISE, frame.shape)
                write(noisy.round().clip(0, 255).astype(np.uint8))

        for number, video in enumerate(clips):
            with VideoReader(video.path) as reader:
                for index, frame in enumerate(reader):
                    rgb = cv2.resize(frame.rgb, (width, height), interpolation=cv2.INTER_AREA)
                    if not number and not index:
                        stand(rgb)
                    if not index:
                        start = count
                    write(rgb)
            bouts.append([video.label, start / fps, count / fps])
            stand(rgb)
    return bouts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset = load_dataset(options.clips)
    groups = defaultdict(list)
    for video in dataset.videos:
        groups[video.group or video.video_id].append(video)
    options.out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["path", "label", "start", "end"])
    for number, (group, videos) in enumerate(sorted(groups.items())):
        name = f"{group}.mp4"
        rng = np.random.default_rng((options.seed, number))
        for label, start, end in join(videos, options.out / name, rng):
            rows.writerow([name, dataset.classes[label], f"{start:.3f}", f"{end:.3f}"])
        print(f"{number + 1}/{len(groups)} {name}", flush=True)
    write_text(options.out / "labels.csv", text.getvalue())


if __name__ == "__main__":
    main()
