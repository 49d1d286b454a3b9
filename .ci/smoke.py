"""Run every verb once on a few built-in clips: whether the installed versions work at all.

python .ci/smoke.py    (a minute and a half on two cores)
"""

import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import cv2

from twostream.synthetic import render_dataset
from twostream.video import VideoReader


def run(*line: object, status: int = 0) -> None:
    """Run a verb and see that it ends as it should."""
    words = [str(word) for word in line]
    print("twostream", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "twostream", *words], capture_output=True, text=True
    )
    if done.returncode != status or "Traceback" in done.stderr:
        sys.exit(f"exit status {done.returncode}: {done.stderr[-3000:]}")


def images(clips: Path, folder: Path) -> Path:
    """Write the first frames of every clip as images, a folder a class."""
    for path in clips.glob("*/*.avi"):
        place = folder / path.parent.name / f"{path.stem}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        with VideoReader(path) as reader:
            cv2.imwrite(str(place), next(iter(reader)).rgb[..., ::-1])
    return folder


def serve(model: Path) -> None:
    """Open the page, fetch it once, and stop it as Ctrl-C does."""
    line = [sys.executable, "-m", "twostream", "serve", str(model), "--port", "0", "--json"]
    print(*line[2:], flush=True)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["page"]
        with urllib.request.urlopen(address, timeout=20) as page:
            assert b"twostream" in page.read()
        server.send_signal(signal.SIGINT)


def main() -> None:
    """Go through the verbs in the order in which people meet them, or do the export alone."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = render_dataset(work / "clips", groups=3)
        video = sorted(clips.rglob("*.avi"))[0]
        few = ["--recipe", "quick", "--steps", 4, "--batch-size", 8, "--fit-scores", "in-sample"]
        model = work / "run"
        run("train", clips, "--store", work / "flow", "--out", model, *few)
        if sys.argv[1:] == ["export"]:
            run("export", model, "--out", work / "onnx", "--quantize")
            run("predict", work / "onnx", video)
            serve(work / "onnx")
        else:
            others(work, clips, video, model)
    print("every verb works")


def others(work: Path, clips: Path, video: Path, model: Path) -> None:
    """Run every verb but train and export."""
    run("doctor", clips)
    run("extract", clips, "--store", work / "again", "--recipe", "quick")
    run("evaluate", model)
    scores = [model / "scores" / f"{name}-test.npz" for name in ("spatial", "temporal")]
    run("fuse", *scores, "--method", "average")
    run("report", model)
    run("predict", model, video, "--json")
    labels = work / "labels.boris"
    run("predict", model, video, "--timeline", "--video", work / "film.mp4", "--labels", labels)
    run("convert", labels, "--to", "elan")
    run("agreement", labels, labels)
    run("predict", model, "--live", video, "--seconds", 1)
    run("push", model, f"file:{work / 'shared'}")
    run("pull", work / "shared", "--out", work / "pulled")
    run("flow", video, "--out", work / "flow.mp4", "--method", "brox:fast")
    run("export-flow", "--store", work / "flow", "--out", work / "images")
    run("import-flow", work / "images", "--store", work / "imported")
    run("reproduce", "--list", "--data", clips, "--out", work / "study")
    pictures = images(clips, work / "images-by-class")
    net = work / "net.safetensors"
    run("pretrain", pictures, "--out", net, "--recipe", "quick", "--steps", 2)
    serve(model)
    run("train", "nowhere", "--out", work / "none", status=1)


if __name__ == "__main__":
    main()
