"""Int8 networks by onnxruntime, calibrated on clips, and what they cost in accuracy."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.export.graph import quiet
from twostream.export.parity import Inputs
from twostream.log_linear import FUSED, LogLinear, answer
from twostream.prediction.onnx import OnnxStream
from twostream.prediction.prediction import StreamScorer
from twostream.store.clips import Clip
from twostream.types import ModelError, ModelSpec, Progress, no_progress

logger = logging.getLogger(__name__)

STACKS = 3  # of a calibration clip, at equal spacing
IN_FLOAT = (0, 4, 16)  # first convolutions that stay in float32, tried in turn
MOST_MOVED = 0.1  # of a stack's probability, on average, may go to other classes


def calibration_inputs(spec: ModelSpec, clips: Iterable[Clip]) -> Iterator[Inputs]:
    """Yield the graph's inputs, one stack each, of some positions of each clip."""
    for clip in clips:
        for position in clip.positions(spec.temporal, STACKS):
            yield {k: v[None] for k, v in clip.stored(spec.temporal, position).items()}


def quantize(
    source: Path,
    target: Path,
    spec: ModelSpec,
    inputs: Sequence[Inputs],
    progress: Progress = no_progress,
) -> int:
    """Write an int8 copy of a network: weights a channel, activations by their measured range.

    Convolutions and full layers become int8; decoding, mean and crops stay as they are. So do the
    first convolutions of a network whose scores would change: slow and fast motion do not fit one
    range of 8 bits (the temporal net of ``standard`` on joined Weizmann, 88 bouts: 98.9% right in
    float32, 15.9% with all layers in int8).

    Args:
        source: the float32 ONNX file.
        target: where the int8 file goes.
        spec: of the network.
        inputs: what the ranges are measured on, and whether scores change.
        progress: told of each input that a range is measured on.

    Returns:
        How many of its first convolutions stay in float32.

    Raises:
        ModelError: onnxruntime's tools cannot do it.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        # onnxruntime's tools advise on the root logger, whose name is empty
        with quiet(""), tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / source.name
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            nodes = onnx.load(prepared).graph.node
            first = [node.name for node in nodes if node.op_type == "Conv" and node.name]
            before = _scores(source, spec, inputs)
            moved: dict[int, float] = {}
            for kept in IN_FLOAT:
                tried = Path(folder) / f"{kept}.onnx"
                shown = _told(inputs, f"int8 {spec.stream}, try {len(moved) + 1}", progress)
                _write_int8(prepared, tried, shown, first[:kept])
                change = np.abs(_scores(tried, spec, inputs) - before).sum(axis=1) / 2
                moved[kept] = float(change.mean())
                if moved[kept] <= MOST_MOVED or kept >= len(first):
                    break
            best = min(moved, key=lambda kept: max(moved[kept], MOST_MOVED))
            shutil.move(Path(folder) / f"{best}.onnx", target)
    except Exception as error:  # of many kinds, from the tools' depths
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{source.name} cannot be quantised by onnxruntime: {why}") from error
    if moved[best] > MOST_MOVED:
        logger.warning(
            f"{source.name}: int8 moves {moved[best]:.0%} of the probability of training clips to "
            "other classes"
        )
    if best:
        logger.info(
            f"{source.name}: the first {min(best, len(first))} of {len(first)} convolutions stay "
            "in float32"
        )
    return min(best, len(first))


def _told(inputs: Sequence[Inputs], task: str, progress: Progress) -> Iterator[Inputs]:
    for done, one in enumerate(inputs, start=1):
        yield one
        progress(task, done, len(inputs))


def _write_int8(
    prepared: Path, target: Path, inputs: Iterator[Inputs], in_float: Sequence[str]
) -> None:
    """Write a network in int8 but for some nodes."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def get_next(self) -> Inputs | None:
            return next(inputs, None)

    quantize_static(
        prepared,
        target,
        Reader(),
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        nodes_to_exclude=list(in_float),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _scores(path: Path, spec: ModelSpec, inputs: Sequence[Inputs]) -> NDArray[np.float32]:
    """Return (n, k) scores of a network."""
    stream = OnnxStream(path, spec)
    return np.concatenate([stream.run(each) for each in inputs])


def compare(
    before: Sequence[StreamScorer],
    after: Sequence[StreamScorer],
    clips: Iterable[tuple[Clip, int]],
    fusion: LogLinear | None = None,
) -> dict[str, Any]:
    """Return what int8 costs on clips with known labels.

    Args:
        before, after: the streams in float32 and in int8, in the same order.
        clips: clips and their labels.
        fusion: of the streams; None: their average answers.

    Returns:
        {"clips", "accuracy": {"float32": {stream: share}, "int8": ...}, "same_label": share of
        clips whose fused label is the same, "largest_difference": of a fused score}.
    """
    names = [stream.spec.stream for stream in before]
    scores: dict[str, list[NDArray[np.float32]]] = {"float32": [], "int8": []}
    labels = []
    for clip, label in clips:
        labels.append(label)
        for precision, streams in (("float32", before), ("int8", after)):
            scores[precision].append(np.stack([stream.score(clip) for stream in streams]))
    if not labels:
        raise ModelError("no clip to measure int8 on: --calibrate takes data with test clips")
    accuracy: dict[str, dict[str, float]] = {}
    fused = {}
    for precision, rows in scores.items():
        table = dict(zip(names, np.stack(rows, axis=1), strict=True))  # stream -> (clip, class)
        fused[precision] = answer(fusion, table)
        judged = {**table, "average": answer(None, table)}
        if fusion is not None:
            judged[FUSED] = fused[precision]
        accuracy[precision] = {
            name: float((each.argmax(axis=1) == np.array(labels)).mean())
            for name, each in judged.items()
        }
    same = fused["float32"].argmax(axis=1) == fused["int8"].argmax(axis=1)
    return {
        "clips": len(labels),
        "accuracy": accuracy,
        "same_label": float(same.mean()),
        "largest_difference": float(np.abs(fused["float32"] - fused["int8"]).max()),
    }
