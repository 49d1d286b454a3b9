"""Some moments of a film side by side, for the documentation.

python benchmarks/film_picture.py FILM.mp4 docs/labelled.png --at 1.2 3.1 6 7.9
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from twostream.video import VideoReader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--at", type=float, nargs="+", required=True, help="seconds, ascending")
    options = parser.parse_args()
    waiting, found = list(options.at), []
    with VideoReader(options.film) as reader:
        for frame in reader:
            if waiting and frame.pts_seconds >= waiting[0]:
                waiting.pop(0)
                found.append(frame.rgb)
    if waiting:
        raise SystemExit(f"{options.film} ends before {waiting[0]} s")
    cv2.imwrite(str(options.out), cv2.cvtColor(np.hstack(found), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
