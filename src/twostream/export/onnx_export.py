"""``twostream export``: a RUN's networks as ONNX files with their contract, checked."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twostream.bout_model import BoutModel, read_bouts
from twostream.checkpoint import StreamModel
from twostream.datasets import (
    AskedData,
    Missing,
    SplitChoice,
    load_dataset,
    relabeled,
)
from twostream.datasets.kept_videos import KeptVideos, as_begun, data_of, kept_videos, say_known
from twostream.export.describe import describe
from twostream.export.graph import OPSET, write_graph
from twostream.export.parity import Compared, Parity, both_scores, check_fused, check_parity
from twostream.export.quantize import calibration_inputs, compare, quantize
from twostream.files import ASKED, filled, refuse_foreign
from twostream.log_linear import LogLinear, read_fusion
from twostream.prediction.contract import CONTRACT_NAME, is_exported
from twostream.prediction.model_files import load_models
from twostream.prediction.onnx import OnnxStream
from twostream.prediction.whole_videos import clip_of, read_whole
from twostream.sampling import even_indices
from twostream.store.clip_file import ClipFile
from twostream.store.clips import Clip
from twostream.store.coding import Kind
from twostream.threads import costs_one_video, sentence
from twostream.types import (
    STREAMS,
    DatasetSplit,
    LabeledVideo,
    ModelError,
    ModelSpec,
    Progress,
    Stream,
    UsageError,
    no_progress,
)

CALIBRATION_CLIPS = 24
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        folder: where.
        files: their names.
        parity: stream -> how the float32 graph agrees with torch.
        quantization: what int8 was calibrated on and costs; None: the networks are float32.
        fused_parity: how the fused answer agrees with torch; None: it is the mean.
        opset: of the ONNX files.
    """

    folder: Path
    files: tuple[str, ...]
    parity: dict[Stream, Parity]
    quantization: dict[str, Any] | None
    fused_parity: Parity | None = None
    opset: int = OPSET

    def to_json(self) -> dict[str, Any]:
        """Return what ``twostream export --json`` prints."""
        return {
            "out": str(self.folder),
            "files": list(self.files),
            "opset": self.opset,
            "parity": {stream: asdict(parity) for stream, parity in self.parity.items()},
            "fused_parity": self.fused_parity and asdict(self.fused_parity),
            "quantization": self.quantization,
        }


def export_onnx(
    run: Path | str | Sequence[StreamModel],
    out: Path | str,
    *,
    int8: bool = False,
    calibrate: Path | str | None = None,
    choice: SplitChoice | None = None,
    fusion: LogLinear | None = None,
    bouts: BoutModel | None = None,
    progress: Progress = no_progress,
) -> ExportReport:
    """Write a run's networks as ONNX files, with labels and a contract; each is checked.

    Args:
        run: a RUN folder, or models that are in memory.
        out: the folder to write; made where it does not exist, an export in it is replaced.
        int8: networks of 8-bit numbers instead of float32.
        calibrate: their data: ranges are measured on its training clips, and what they cost on its
            test clips. None: the run's own data and split.
        choice: of that data's clips; None: the run's, where it is the run's data.
        fusion: of models that are in memory; a RUN folder has its own. None: their mean.
        bouts: likewise, how long they last in a time line. None: nobody knows.
        progress: told how far calibration and measurement are.

    Raises:
        ModelError: a network does not give what torch gives, or cannot be written.
        RunError: no model, or the folder holds something else.
        UsageError: ``run`` is an export.
    """
    if isinstance(run, Path | str) and is_exported(Path(run)):
        raise UsageError(f"{run} is an export: give the RUN folder that it was made from")
    models = load_models(Path(run)) if isinstance(run, Path | str) else list(run)
    models = [model.cpu().eval() for model in models]
    specs = [model.spec for model in models]
    if isinstance(run, Path | str):
        fusion, bouts = read_fusion(Path(run)), read_bouts(Path(run))
    if fusion is not None:
        fusion = fusion.of([spec.stream for spec in specs], specs[0].classes)
    out = Path(out)
    refuse_foreign(out, "export", CONTRACT_NAME)
    sides = None
    if int8:
        asked = Path(run) / ASKED if isinstance(run, Path | str) else None
        own = AskedData.of(asked.parent) if asked and asked.is_file() else None
        kept = kept_videos(asked.parent) if own and asked else None
        sides = _sides(own, calibrate, choice, kept)
    with filled(out, CONTRACT_NAME, [f"{stream}.onnx" for stream in STREAMS]) as folder:
        parity: dict[Stream, Parity] = {}
        streams: dict[Path, OnnxStream] = {}
        compared: list[Compared] = []
        for model in models:
            name = model.spec.stream
            path = folder / f"{name}.onnx"
            write_graph(model, path)
            streams[path] = OnnxStream(path, model.spec)
            compared.append(both_scores(model, streams[path]))
            parity[name] = found = check_parity(compared[-1])
            logger.info(
                f"{name}: {found.inputs} stacks of {len(found.sizes)} shapes, torch and "
                f"onnxruntime differ by at most {found.largest_difference:.1e} "
                f"(allowed {found.tolerance:.0e})"
            )
        fused = check_fused(compared, fusion) if fusion else None
        quantization = _quantized(streams, sides, fusion, progress) if sides is not None else None
        contract = describe(specs, parity, quantization, fusion, fused, bouts)
        text = json.dumps(contract, indent=1, ensure_ascii=False) + "\n"
        (folder / CONTRACT_NAME).write_text(text, encoding="utf-8")
        (folder / "labels.txt").write_text(labels_text(specs[0].classes), encoding="utf-8")
        files = tuple(sorted(path.name for path in folder.iterdir()))
    return ExportReport(out, files, parity, quantization, fused)


def labels_text(classes: Sequence[str]) -> str:
    """Return labels.txt: line i is class i, whatever is in its name.

    >>> labels_text(["walk", "run" + chr(10) + "fast"])
    'walk\\nrun fast\\n'
    """
    return "".join(" ".join(name.splitlines()) + "\n" for name in classes)


def _sides(
    own: AskedData | None,
    data: Path | str | None,
    choice: SplitChoice | None,
    kept: KeptVideos | None = None,
) -> DatasetSplit:
    """Return the clips that calibrate and those that are tested: never tested what was trained on.

    Args:
        own: what the run was asked for; None for models that are in memory.
        data, choice: see ``export_onnx``.
        kept: the videos that the run began with; others may lie there now.
    """
    seed = 0
    if own is None and data is None:
        raise UsageError("int8 networks need clips of the run's classes: name their data set")
    if own is not None and (data is None or Path(own.data).resolve() == Path(data).resolve()):
        data = data_of(kept, own.data)  # it may have been called from elsewhere
        seed = own.seed
        if not choice:
            missing: Missing = "leave out" if kept else "refuse"
            dataset = load_dataset(data, missing=missing)
            return as_begun(kept, dataset, own.choice, seed=seed)[1]
    assert data is not None
    split = (choice or SplitChoice()).of(load_dataset(data), seed=seed)
    say_known(kept, split.test)
    return split


def _quantized(
    streams: dict[Path, OnnxStream],
    sides: DatasetSplit,
    fusion: LogLinear | None,
    progress: Progress,
) -> dict[str, Any]:
    """Put int8 networks in the place of the float32 ones, and measure what they cost."""
    specs = [stream.spec for stream in streams.values()]
    train, test = (
        relabeled(videos, sides.classes, specs[0].classes, name=sides.dataset)
        for videos in (sides.train, sides.test)
    )

    chosen = [train[i] for i in sorted(set(even_indices(len(train), CALIBRATION_CLIPS)))]
    kept = [clip for clip, _ in _clips(chosen, specs, "calibrate", progress)]
    if not kept:
        raise ModelError(
            "no clip to measure the ranges of int8 on: --calibrate takes data with training clips"
        )
    coded: dict[Path, OnnxStream] = {}
    in_float: dict[str, int] = {}
    for path, stream in streams.items():
        small = path.with_name(f"int8-{path.name}")
        inputs = list(calibration_inputs(stream.spec, kept))
        in_float[stream.spec.stream] = quantize(path, small, stream.spec, inputs, progress)
        coded[small] = OnnxStream(small, stream.spec)
    tested = _clips(test, specs, "measure int8", progress)
    cost = compare(list(streams.values()), list(coded.values()), tested, fusion)
    for path, small in zip(streams, coded, strict=True):
        os.replace(small, path)
    return {
        "data": sides.dataset,
        "split": sides.name,
        "method": "int8, static",
        "calibration_clips": len(kept),
        "first_convolutions_in_float32": in_float,
        **cost,
    }


def _clips(
    videos: Sequence[LabeledVideo], specs: Sequence[ModelSpec], task: str, progress: Progress
) -> Iterator[tuple[Clip, int]]:
    """Yield the clips that can be read, and their labels; stretches of recordings are theirs alone.

    A recording is decoded once, whatever is labelled in it, as its stretches follow each other.
    """
    files, path = dict[Kind, ClipFile](), None
    for done, video in enumerate(videos, start=1):
        try:
            if video.path != path:
                files, path = read_whole(video.path, specs), video.path
            clip = clip_of(files, specs, video.video_id)
        except Exception as error:
            if not costs_one_video(error):
                raise
            logger.warning(f"left out: {sentence(error, video.path)}")
            continue
        yield clip, video.label
        progress(task, done, len(videos), video.video_id)
