"""Folders of flow images as other tools write them, made of fields that are known."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from twostream.interchange import find_flow, import_flow, import_settings
from twostream.store.flow_store import FlowStore

COUNT = 6  # fields of a clip
STEP_PX = 40 / 255  # of the classic code at a bound of 20 px


def fields(count: int = COUNT, seed: int = 0, height: int = 40, width: int = 56) -> np.ndarray:
    """(n, 2, h, w): smooth, every field, component and sign different."""
    down, right = np.mgrid[:height, :width].astype(np.float32)
    found = []
    for i in range(count):
        x = 9 * np.sin(right / 17 + i + seed) + i
        y = -6 * np.cos(down / 13 - i) - 0.5 * i - 2
        found.append(np.stack([x, y]))
    return np.array(found, np.float32)


def pictures(count: int, height: int = 40, width: int = 56) -> np.ndarray:
    """(n, h, w, 3) RGB, each of its own grey-green."""
    shades = 20 + 25 * np.arange(count)
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 1] = shades[:, None, None]
    frames[..., 2] = 60
    return frames


def coded(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """The classic code, written out a second time."""
    return np.round(255 * (np.clip(plane, low, high) - low) / (high - low)).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])


Write = Callable[[Path, str, np.ndarray, np.ndarray], None]


def laid_out(flow_files: str, base: int, rgb_files: str = "", axes: str = "xy") -> Write:
    """A layout by the names of its files, which have {video}, {axis} and {n}; "": no frames."""

    def write(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
        for i, field in enumerate(flow):
            for axis, plane in zip(axes, field, strict=True):
                name = flow_files.format(video=video, axis=axis, n=base + i)
                save(root / name, coded(plane, -20, 20))
        for i, frame in enumerate(rgb if rgb_files else ()):
            save(root / rgb_files.format(video=video, n=base + i), frame[..., ::-1])

    return write


def flat(pattern: str, base: int) -> Write:
    """A layout with everything in the video's folder; the pattern has {axis} and {n}."""
    return laid_out(f"{{video}}/{pattern}", base, "{video}/img_{n:05}.jpg")


feichtenhofer = laid_out(
    "tvl1_flow/{axis}/{video}/frame{n:06}.jpg", 1, "jpegs_256/{video}/frame{n:06}.jpg", "uv"
)
charades = laid_out(
    "Charades_v1_flow/{video}/{video}-{n:06}{axis}.jpg",
    1,
    "Charades_v1_rgb/{video}/{video}-{n:06}.jpg",
)
gpu_flow_inside = laid_out("{video}/{axis}/frame{n:06}.jpg", 0)


def gpu_flow(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    """Ranges of their own in a file beside x."""
    ranges = []
    for i, field in enumerate(flow):
        for axis, plane in zip("xy", field, strict=True):
            low, high = float(plane.min()), float(plane.max())
            ranges += [low, high]
            save(root / axis / video / f"frame{i + 1:06}.jpg", coded(plane, low, high))
    (root / "x" / f"{video}.bin").write_bytes(np.array(ranges, "<f4").tobytes())


def tsn_zips(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    for k, axis in enumerate("xy"):
        path = root / video / f"flow_{axis}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for i, field in enumerate(flow):
                blob = cv2.imencode(".jpg", coded(field[k], -20, 20))[1].tobytes()
                archive.writestr(f"{axis}_{i + 1:05}.jpg", blob)
    with zipfile.ZipFile(root / video / "img.zip", "w") as archive:
        for i, frame in enumerate(rgb):
            blob = cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes()
            archive.writestr(f"img_{i + 1:05}.jpg", blob)


LAYOUTS: dict[str, tuple[str, Write]] = {
    "denseflow": ("denseflow", flat("flow_{axis}_{n:05}.jpg", 0)),
    "tsn": ("tsn", flat("flow_{axis}_{n:05}.jpg", 1)),
    "tsn zips": ("tsn", tsn_zips),
    "mmaction2": ("mmaction2", flat("{axis}_{n:05}.jpg", 1)),
    "mmaction2 from 0": ("mmaction2", flat("{axis}_{n:05}.jpg", 0)),
    "feichtenhofer": ("feichtenhofer", feichtenhofer),
    "charades": ("charades", charades),
    "gpu_flow": ("gpu_flow", gpu_flow),
    "gpu_flow inside": ("gpu_flow", gpu_flow_inside),
}


# Half a step of the classic code, and what two JPEGs of smooth fields add.
TOLERANCE_PX = STEP_PX / 2 + 0.25


def brought_in(root: Path, store: Path, **options: object) -> FlowStore:
    summary = import_flow(
        find_flow(root), store=store, settings=import_settings(bound_px=20, **options)
    )
    assert not summary.failed
    return FlowStore.open(store)


def failure(root: Path, store: Path) -> str:
    """Why the one bad video of a folder is not imported."""
    summary = import_flow(find_flow(root), store=store, settings=import_settings(bound_px=20))
    (why,) = summary.failed.values()
    return why
