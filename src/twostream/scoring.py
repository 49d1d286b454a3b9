"""Scoring videos: 25 positions x 10 crops, averaged (section 5, testing), into ``VideoScores``."""

from __future__ import annotations

import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twostream.augment import five_crops
from twostream.checkpoint import StreamModel
from twostream.files import write_bytes
from twostream.loader import ScoringSamples, batches
from twostream.models import classifier
from twostream.schema import parse_json, shown
from twostream.store.clips import Clips
from twostream.threads import ahead, keep_memory
from twostream.types import (
    DataError,
    LabeledVideo,
    ModelError,
    ModelSpec,
    Progress,
    VideoScores,
    no_progress,
)

# Crops that go through the network at once: enough to keep it busy. Larger tensors than this come
# from fresh pages of the system each time, which cost more than the arithmetic on them.
_BATCH_BYTES = 16 << 20
_CROPS = {"ten": 10, "centre": 2}
# Of a score file: its arrays and NumPy's letters for what they hold; how large they may be.
_ARRAYS = {"names": "U", "labels": "iu", "scores": "f", "classes": "U"}
_ARRAYS |= dict.fromkeys(("kind", "stream", "unreadable"), "U")
_LARGEST, _PACKED = 16 << 20, 20  # bytes, and times the file's own


def ten_crops(
    stacks: Tensor, size: int, *, is_flow: bool, flips: bool = True
) -> tuple[Tensor, Tensor]:
    """Cut four corners, the centre and their mirror images; mirrored flow changes x's sign.

    Where the crop is as high or as wide as the frame some of the five are the same; each is cut
    once and counts as often as it stands among the ten.

    Args:
        stacks: (n, length, c, h, w).
        size: side of the crops in pixels.
        is_flow: whether the mirror image must negate the x component.
        flips: False leaves five crops, for classes that tell left from right.

    Returns:
        Crops (n, m, length, c, size, size) and their weights (m,), which sum to 1; m is 10 with
        flips, 5 without, less where crops are the same.
    """
    views = _views(stacks, is_flow=is_flow, flips=flips)
    windows, weights = _ten_windows(views, size)
    return torch.stack(windows, dim=1), weights


def _views(stacks: Tensor, *, is_flow: bool, flips: bool) -> list[Tensor]:
    """Return (..., c, h, w) stacks and, with flips, their mirror images."""
    if not flips:
        return [stacks]
    mirrored = stacks.flip(-1)
    if is_flow:
        mirrored[..., 0, :, :] *= -1
    return [stacks, mirrored]


def _ten_windows(views: list[Tensor], size: int) -> tuple[list[Tensor], Tensor]:
    """Cut the five crops of each view; the m of them, (..., size, size), and their weights (m,).

    A mirrored crop is the crop at the mirrored place of the mirrored frame.
    """
    height, width = int(views[0].shape[-2]), int(views[0].shape[-1])
    counts = Counter(five_crops(height, width, size))
    windows = [
        view[..., top : top + size, column : column + size]
        for view, mirrored in zip(views, (False, True), strict=False)
        for top, left, _, _ in counts
        for column in (width - size - left if mirrored else left,)
    ]
    shares = [count / (5 * len(views)) for count in counts.values()]
    return windows, torch.tensor(shares * len(views), device=views[0].device)


def centre_crop(
    stacks: Tensor, size: int, *, is_flow: bool, flips: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the largest centred square, bilinearly at size x size px, and its mirror image.

    Two looks instead of ten at nearly the same accuracy: the whole height is seen at once.

    Args:
        stacks, size, is_flow, flips: as of ``ten_crops``; flow keeps its values, px of the frame.

    Returns:
        Crops (n, m, length, c, size, size) and their weights (m,); m is 2 with flips, else 1.
    """
    height, width = _sides(stacks)
    side = torch.minimum(height, width)
    for dim, start in ((-2, (height - side).div(2).floor()), (-1, (width - side).div(2).floor())):
        centres = (torch.arange(size, device=stacks.device) + 0.5) * side / size - 0.5
        centres = centres.clamp(min=0).minimum(side - 1)
        low = centres.floor()
        high = (low + 1).minimum(side - 1)
        share = (centres - low).view(-1, 1) if dim == -2 else centres - low
        first, second = (stacks.index_select(dim, (at + start).long()) for at in (low, high))
        stacks = first + (second - first) * share
    cut = stacks[:, None]
    if not flips:
        return cut, torch.ones(1, device=stacks.device)
    sign = torch.tensor([-1.0, 1.0] if is_flow else [1.0], device=stacks.device).view(-1, 1, 1)
    return torch.cat([cut, cut.flip(-1) * sign], dim=1), torch.full((2,), 0.5, device=stacks.device)


def _sides(stacks: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width as tensors, so that an exported graph asks for them at each call."""
    line, column = stacks[0, 0, 0, :, 0], stacks[0, 0, 0, 0, :]
    return torch.ones_like(line).sum(), torch.ones_like(column).sum()


def scored_crops(spec: ModelSpec, stacks: Tensor) -> tuple[Tensor, Tensor]:
    """Return what stacks are scored on: crops (n, m, length, c, size, size), weights (m,)."""
    cut = ten_crops if spec.test_crops == "ten" else centre_crop
    return cut(stacks, spec.crop_size, is_flow=spec.is_flow, flips=spec.flips)


def _at_the_door(model: StreamModel, stacks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same crops as the network takes them, (m * n, channels, size, size), and weights.

    Of ten crops each frame and its mirror image are normalised and put into order once, and crops
    are copies of that: they overlap, and this took a fifth of the time that a small network needs.
    """
    spec = model.spec
    if spec.test_crops != "ten":
        crops, weights = scored_crops(spec, stacks)
        return model.channels(crops.transpose(0, 1).flatten(0, 1)), weights
    views = _views(stacks, is_flow=spec.is_flow, flips=spec.flips)
    windows, weights = _ten_windows([model.channels(view) for view in views], spec.crop_size)
    return torch.cat(windows), weights


def samples_at_once(spec: ModelSpec, stack: Tensor | NDArray[np.float32]) -> int:
    """Return how many samples like a (length, c, h, w) one go through the network together."""
    per_crop = stack[..., : spec.crop_size, : spec.crop_size].nbytes
    return max(1, _BATCH_BYTES // (_CROPS[spec.test_crops] * per_crop))


@torch.inference_mode()
def score_samples(model: StreamModel, stacks: Tensor | NDArray[np.float32]) -> Tensor:
    """Return each sample's (n, k) softmax scores, on the model's device: the mean over its crops.

    Args:
        model: the stream, on the device to use.
        stacks: (n, length, c, h, w), flow in pixels or RGB in 0..1.

    Raises:
        ModelError: they are not finite.
    """
    spec = model.spec
    stacks = torch.as_tensor(stacks)
    device = model.mean.device
    rows = []
    for chunk in stacks.split(samples_at_once(spec, stacks[0])):
        channels, shares = _at_the_door(model, chunk.to(device))
        probabilities = model.network(channels).float().softmax(dim=1)
        rows.append(
            torch.einsum("m,mnk->nk", shares, probabilities.view(len(shares), len(chunk), -1))
        )
    scores = torch.cat(rows)
    if not scores.isfinite().all():  # of finite weights: too large for the arithmetic
        raise ModelError(
            f"the {spec.stream} net's scores are not finite: its training went wrong, so train "
            "again with a lower --learning-rate"
        )
    return scores


@torch.inference_mode()
def last_layer_inputs(
    model: StreamModel, stacks: Tensor | NDArray[np.float32]
) -> tuple[Tensor, Tensor]:
    """Return what the last layer sees of each sample's crops, (n, m, d), and their weights (m,).

    Args:
        model, stacks: as of ``score_samples``, which is the mean over the crops, by their weights,
            of the softmax of the last layer's answers to this.
    """
    seen: list[Tensor] = []
    hook = classifier(model.network).register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    rows = []
    try:
        stacks = torch.as_tensor(stacks)
        for chunk in stacks.split(samples_at_once(model.spec, stacks[0])):
            channels, shares = _at_the_door(model, chunk.to(model.mean.device))
            model.network(channels)
            rows.append(seen.pop().float().unflatten(0, (len(shares), len(chunk))).transpose(0, 1))
    finally:
        hook.remove()
    return torch.cat(rows), shares


@torch.inference_mode()
def score_stacks(
    model: StreamModel,
    stacks: Tensor | NDArray[np.float32],
    counts: Tensor | NDArray[np.float32],
) -> Tensor:
    """Return a video's (k,) softmax scores: the mean over its samples and their crops.

    Args:
        model, stacks: as of ``score_samples``, with its error.
        counts: (n,) how often each sample counts.
    """
    scores = score_samples(model, stacks)
    counts = torch.as_tensor(counts).to(scores.device)
    return counts @ scores / counts.sum()


def evaluate(
    model: StreamModel,
    videos: Sequence[LabeledVideo],
    clips: Clips,
    *,
    device: str | torch.device = "cpu",
    loader_workers: int = 0,
    skip_unreadable: bool = False,
    unreadable: dict[str, str] | None = None,
    progress: Progress = no_progress,
) -> VideoScores:
    """Score videos with one stream.

    Args:
        model: the stream.
        videos: what to score, each counted once; labels must refer to the model's classes.
        clips: their stored frames or flow.
        device: where the network runs.
        loader_workers: processes that read clips ahead.
        skip_unreadable: leave out videos that cannot be read instead of counting them as wrong.
        unreadable: videos already known to be unreadable, with the reason.
        progress: told after each video.

    Returns:
        Probabilities; unreadable videos are named, with zero scores.
    """
    keep_memory()
    model = model.to(device).eval()
    known = dict(unreadable or {})
    readable = [video for video in videos if video.video_id not in known]
    spec = model.spec
    samples = ScoringSamples(clips, readable, spec.temporal, spec.test_positions, spec.centre_size)
    loader = batches(samples, range(len(readable)), workers=loader_workers)
    scores = {}
    with closing(ahead(loader, depth=0)) as items:  # the next clip is read meanwhile
        for done, item in enumerate(items, start=1):
            video_id = readable[int(item["row"])].video_id
            if "error" in item:
                known[video_id] = str(item["error"])
            else:
                scored = score_stacks(model, item["stacks"], item["counts"])
                scores[video_id] = scored.cpu().numpy()
            progress(f"evaluate {spec.stream}", done, len(readable))
    if skip_unreadable:
        videos = [video for video in videos if video.video_id not in known]
    zero = np.zeros(len(spec.classes), np.float32)
    rows = [scores.get(video.video_id, zero) for video in videos]
    ids = tuple(video.video_id for video in videos)
    return VideoScores(
        video_ids=ids,
        labels=np.array([video.label for video in videos], np.int64),
        classes=spec.classes,
        scores=np.stack(rows).astype(np.float32) if rows else np.zeros((0, len(zero)), np.float32),
        stream=spec.stream,
        unreadable={video_id: why for video_id, why in known.items() if video_id in set(ids)},
    )


def save_scores(path: Path, scores: VideoScores) -> None:
    """Write scores as npz (names, labels, scores, classes, ...), atomically.

    Raises:
        DataError: the place is taken by what is no file; a device must not be replaced by one.
    """
    if path.exists() and not path.is_file():
        raise DataError(
            f"{path} is no file that scores could replace: check it, or choose another place"
        )
    data = io.BytesIO()  # an archive is many small writes; a disk gets one
    np.savez(
        data,
        names=np.array(scores.video_ids, dtype=np.str_),
        labels=scores.labels,
        scores=scores.scores,
        classes=np.array(scores.classes, dtype=np.str_),
        kind=np.array(scores.kind),
        stream=np.array(scores.stream),
        unreadable=np.array(json.dumps(scores.unreadable)),
    )
    write_bytes(path, data.getbuffer())


def load_scores(path: Path) -> VideoScores:
    """Read scores written by ``save_scores``.

    Raises:
        DataError: no such file, or not a score file.
    """
    if not path.is_file():
        raise DataError(f"no score file {path}: `twostream evaluate RUN` writes RUN/scores/*.npz")
    try:
        arrays = _read_arrays(path)
        return VideoScores(
            video_ids=tuple(str(name) for name in arrays["names"]),
            labels=arrays["labels"].astype(np.int64),
            classes=tuple(str(name) for name in arrays["classes"]),
            scores=arrays["scores"].astype(np.float32),
            **_said(arrays),
        )
    except (
        DataError,  # its parts do not fit together
        AttributeError,  # one array alone, as np.save writes
        KeyError,
        TypeError,
        ValueError,
        OSError,
        EOFError,
        SyntaxError,  # of a header that is no Python
        RuntimeError,  # a password, or a way of packing that Python does not know
        BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} is damaged, or not a score file of twostream ({error}): delete it, then "
            "`twostream train ... --resume` or `twostream evaluate RUN` writes it again"
        ) from error


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a score file, once their headers say that they belong together.

    Nothing is unpacked before: three megabytes can claim to be six gigabytes.

    Raises:
        ValueError: one has another shape or kind, or all are far larger than the file.
    """
    with ZipFile(path) as archive:
        shapes: dict[str, tuple[int, ...]] = {}
        size = 0
        for name, kinds in _ARRAYS.items():
            with archive.open(f"{name}.npy") as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                shapes[name], _, dtype = read(member)
            if dtype.kind not in kinds:
                raise ValueError(f"{name} is of kind {dtype}")
            size += math.prod(shapes[name]) * dtype.itemsize
        rows, columns = shapes["names"], shapes["classes"]
        wanted = {"names": 1, "classes": 1, "kind": 0, "stream": 0, "unreadable": 0}
        if any(len(shapes[name]) != count for name, count in wanted.items()) or (
            (shapes["labels"], shapes["scores"]) != (rows, (*rows, *columns))
        ):
            raise ValueError(f"its arrays have shapes {shown(shapes)}")
        if size > _LARGEST + _PACKED * path.stat().st_size:
            raise ValueError(f"it claims to hold {size} bytes")
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return {name: file[name] for name in _ARRAYS}


def _said(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return what a score file says beside its numbers, once those are what they must be."""
    labels, scores = arrays["labels"], arrays["scores"]
    if not np.isfinite(scores).all():
        raise ValueError("scores that are not finite")
    if not ((labels >= -1) & (labels < scores.shape[1])).all():
        raise ValueError(f"labels outside of its {scores.shape[1]} classes")
    kind, unreadable = str(arrays["kind"]), parse_json(str(arrays["unreadable"]))
    if kind not in ("probabilities", "logits"):
        raise ValueError(f"kind {shown(kind)}")
    if not isinstance(unreadable, dict) or not all(isinstance(v, str) for v in unreadable.values()):
        raise ValueError(f"unreadable {shown(unreadable)}")
    return {"kind": kind, "stream": str(arrays["stream"]), "unreadable": unreadable}
