"""The picture of docs/use.md: python tests/web/label_picture.py RUN CLIPS docs/labelling.png.

RUN and CLIPS are what ``twostream demo`` makes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from browser import serving
from PIL import Image
from test_label_page import Page

from twostream.video import VideoReader, VideoWriter

TIMES = 3  # that each action is done, one after the other
RECORDINGS = {
    "garden.mp4": ("g05", "WaveBlueFlag DribbleGreenBall CheerTealPompoms WaveRedFlag StandUp"),
    "hall.mp4": ("g06", "CheerPinkPompoms WaveRedFlag DribbleOrangeBall OpenUmbrella WaveBlueFlag"),
}


def write_recordings(clips: Path, folder: Path) -> None:
    """Join clips of a group into recordings, and label the beginning of the first one."""
    for name, (group, labels) in RECORDINGS.items():
        rows, seconds = ["path,label,start,end"], 0.0
        paths = [sorted((clips / label).glob(f"*_{group}_c01.*"))[0] for label in labels.split()]
        with VideoReader(paths[0]) as first:
            height, width = first.size
            fps = first.info.fps
        with VideoWriter(folder / name, fps=fps, width=width, height=height) as writer:
            for label, path in zip(labels.split(), paths, strict=True):
                with VideoReader(path) as reader:
                    frames = [frame.rgb for frame in reader] * TIMES
                for frame in frames:
                    writer.write(frame)
                end = seconds + len(frames) / fps
                rows += [f"{name},{each},{seconds:.3f},{end:.3f}" for each in (label, "")]
                seconds = end
        if name == next(iter(RECORDINGS)):
            rows[5:] = [f",{label},," for label in labels.split()]
            (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def main(run: str, clips: str, out: str) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "recordings")
        folder.mkdir()
        write_recordings(Path(clips), folder)
        options = ("--label", str(folder), "--runs", f"{temporary}/runs")
        with (
            serving(Path(run), Path(temporary), *options) as running,
            Page(running.url, Path(temporary), width=1180) as page,
        ):
            for name in RECORDINGS:
                page.wait(f"[data-video='{name}'] span", "predicted", seconds=300)
            page.wait(".tl-predicted .tl-bout").click()
            page.wait("#tl-selected", "sure")
            picture = Image.open(page.picture("labelling"))
    picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
