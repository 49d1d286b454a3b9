"""Images to train and validate on: decoded, rescaled, cropped, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from twostream.augment import random_crop
from twostream.datasets import LabeledImages
from twostream.flow.opencv import one_opencv_thread
from twostream.inputs import rgb_stack
from twostream.loader import Batches
from twostream.sampling import epoch_batch
from twostream.threads import ThreadPool, num_cores
from twostream.types import DataError, Progress, no_progress

_CHECKED_AT_ONCE = 4096


def read_image(path: Path, *, short_side: int | None = None) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) uint8 RGB, upright; its shorter side brought to ``short_side``.

    Unlike the frames of videos, images are enlarged too (section 5 rescales every one). Without
    ``short_side`` it is only decoded to see whether it can be, at an eighth of its size.

    Raises:
        DataError: it cannot be read or decoded to its end.
    """
    if path.exists() and not path.is_file():  # a pipe or a device may have no end
        raise DataError(f"{path} cannot be read: it is no file on disk")
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    # not imread: that fills the missing part of a truncated file with grey
    how = cv2.IMREAD_COLOR if short_side else cv2.IMREAD_REDUCED_COLOR_8
    bgr = cv2.imdecode(content, how) if content.size else None
    if bgr is None:
        what = "damaged, or no image" if content.size else "empty"
        raise DataError(f"{path} cannot be decoded: it is {what}; mend it or take it away")
    height, width = bgr.shape[:2]
    if short_side and min(height, width) != short_side:
        scale = short_side / min(height, width)
        size = max(short_side, round(width * scale)), max(short_side, round(height * scale))
        shrinks = scale < 1
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return bgr[..., ::-1]  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class ImageBatches(Batches):
    """The batches of a pre-training, image-uniform: each image once an epoch.

    From each one a random crop of the whole rescaled image (section 5).

    Attributes:
        images: training images.
        short_side: pixels.
    """

    images: LabeledImages
    short_side: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each image."""
        return self.images.labels

    @property
    def folder(self) -> Path:
        """The folder of images."""
        return self.images.root

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the images of a step."""
        return epoch_batch(len(self.images), seed=self.seed, step=step, batch_size=self.batch_size)

    def crop(self, row: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a random crop of an image, (1, 3, size, size)."""
        with one_opencv_thread():
            rgb = read_image(self.images.path(row), short_side=self.short_side)
        crop = random_crop(rgb.shape[0], rgb.shape[1], self.crop_size, rng)
        window = rgb[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        return rgb_stack(window[None])


@dataclass(frozen=True)
class ScoringImages(Dataset[dict[str, Any]]):
    """The images to validate on, whole: item i is image i as a stack (1, 1, 3, h, w)."""

    images: LabeledImages
    short_side: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return the row and its stack."""
        with one_opencv_thread():
            rgb = read_image(self.images.path(row), short_side=self.short_side)
        return {"row": row, "stacks": torch.from_numpy(rgb_stack(rgb[None]))[None]}


def unreadable_images(*sides: LabeledImages, progress: Progress = no_progress) -> dict[str, str]:
    """Decode every image; return path -> why not for those that cannot be."""

    def trouble(path: Path) -> str | None:
        try:
            read_image(path)
        except DataError as error:
            return str(error)
        return None

    found: dict[str, str] = {}
    done = 0
    paths = (side.path(row) for side in sides for row in range(len(side)))
    with ThreadPool(num_cores()) as pool:
        while chunk := list(islice(paths, _CHECKED_AT_ONCE)):
            troubles = zip(chunk, pool.map(trouble, chunk), strict=True)
            found |= {str(path): why for path, why in troubles if why}
            done += len(chunk)
            progress("check images", done, sum(map(len, sides)))
    return found
