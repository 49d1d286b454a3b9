"""The whole job on real clips, and JPEGs decoded by the card against the CPU."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch

from gpu_tables import NOT_MEASURED, Settings, markdown, median_seconds, said, texture
from twostream.recipes import RECIPES, make_recipe
from twostream.threads import num_cores

# `paper` as it is takes hours: fewer steps, and fewer positions a video, as the table says
SHORTER = {"steps": 60, "test_positions": 5}
JPEGS = 256


class TimeUpError(Exception):
    """The part's time is over; raised out of a run."""


def run_jhmdb(name: str, changes: dict[str, int], settings: Settings, deadline: float) -> list[str]:
    """Train and test one recipe on JHMDB's first split."""
    from twostream.datasets import SplitChoice
    from twostream.run import RunSettings, train_run
    from twostream.training import TrainerOptions

    whole = RECIPES[name]
    kept = [f"{value} {key} instead of {getattr(whole, key):,}" for key, value in changes.items()]
    label = ", ".join([name, *kept]).replace("_", " ")
    recipe = make_recipe(name, **changes)
    doing = ["start"]

    def progress(task: str, done: float, total: float, detail: str = "") -> None:
        doing[0] = f"{task}, {done:.0f} of {total:.0f}"
        if time.perf_counter() > deadline:
            raise TimeUpError

    options = TrainerOptions(accelerator="gpu", precision="bf16-mixed")
    with tempfile.TemporaryDirectory() as folder:
        asked = RunSettings(data=str(settings.jhmdb), recipe=recipe, choice=SplitChoice(split=1))
        started = time.perf_counter()
        try:
            found = train_run(asked, Path(folder, "run"), options=options, progress=progress)
        except TimeUpError:
            return [label, f"stopped: the part's time was over at {doing[0]}", *[""] * 4]
    seconds = found["seconds"]
    parts = [f"{seconds.get(part, 0):.1f}" for part in ("extract", "train", "evaluate")]
    accuracy = ", ".join(f"{key} {100 * share:.1f}%" for key, share in found["accuracy"].items())
    return [label, *parts, f"{time.perf_counter() - started:.1f}", accuracy]


def jpegs(settings: Settings, deadline: float) -> str:
    """Return images/s of 340 x 256 JPEGs, by nvjpeg and by OpenCV."""
    height, width = (64, 80) if settings.small else (256, 340)
    count = 8 if settings.small else JPEGS
    coded = []
    for i in range(count):
        planes = [texture(height, width, 3 * (i % 8) + c) for c in range(3)]
        coded.append(cv2.imencode(".jpg", np.stack(planes, -1).astype(np.uint8))[1])

    def decode(data: np.ndarray) -> np.ndarray:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)

    cores = num_cores()
    cv2.setNumThreads(1)
    rows = []
    one = median_seconds(lambda: [decode(data) for data in coded], "cpu", 3, deadline)
    rows.append(["OpenCV, one core", f"{count / one:.0f}"])
    with ThreadPoolExecutor(cores) as pool:
        many = median_seconds(lambda: list(pool.map(decode, coded)), "cpu", 3, deadline)
    rows.append([f"OpenCV, {cores} cores", f"{count / many:.0f}"])
    if settings.device == "cpu":
        rows.append(["nvjpeg of torchvision", NOT_MEASURED])
    else:
        try:
            from torchvision.io import decode_jpeg

            data = [torch.from_numpy(each.ravel()) for each in coded]
            card = median_seconds(lambda: decode_jpeg(data, device="cuda"), "cuda", 5, deadline)
            rows.append([f"nvjpeg of torchvision, {count} at once", f"{count / card:.0f}"])
        except Exception as error:  # noqa: BLE001 - not every torchvision is built with it
            rows.append(["nvjpeg of torchvision", said(error)])
    return markdown([f"JPEGs of {width} x {height}", "images/s"], rows)


def measure(settings: Settings, deadline: float) -> str:
    """Return both tables; without clips or PyAV a sentence stands for the first."""
    decoded = jpegs(settings, deadline)
    if settings.jhmdb is None:
        return f"From clips to a net: {NOT_MEASURED}, since no --jhmdb was given.\n\n{decoded}"
    if find_spec("av") is None:
        return f"From clips to a net: {NOT_MEASURED}, since PyAV is not here.\n\n{decoded}"
    header = ["recipe", "extract, s", "train, s", "evaluate, s", "all, s", "accuracy"]
    rows = []
    for name, changes in (("standard", {}), ("paper", SHORTER)):
        if name not in RECIPES:
            rows.append([name, NOT_MEASURED, *[""] * 4])
            continue
        try:
            rows.append(run_jhmdb(name, changes, settings, deadline))
        except Exception as error:  # noqa: BLE001 - the other recipe is worth having
            rows.append([name, said(error), *[""] * 4])
    return f"{markdown(header, rows)}\n{decoded}"
