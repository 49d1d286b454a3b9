"""Int8 networks by onnxruntime, calibrated on clips, and what they cost in accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.export.graph import quiet
from twostream.export.parity import Inputs
from twostream.log_linear import FUSED, LogLinear, answer
from twostream.prediction.prediction import StreamScorer
from twostream.store.clips import Clip
from twostream.types import ModelError, ModelSpec

# Stacks of a calibration clip, at equal spacing.
STACKS = 3


def calibration_inputs(spec: ModelSpec, clips: Iterable[Clip]) -> Iterator[Inputs]:
    """Yield the graph's inputs, one stack each, of some positions of each clip."""
    for clip in clips:
        for position in clip.positions(spec.temporal, STACKS):
            yield {k: v[None] for k, v in clip.stored(spec.temporal, position).items()}


def quantize(source: Path, target: Path, inputs: Iterator[Inputs]) -> None:
    """Write an int8 copy of a network: weights a channel, activations by their measured range.

    Convolutions and full layers become int8; decoding, mean and crops stay as they are.

    Args:
        source: the float32 ONNX file.
        target: where the int8 file goes.
        inputs: what the ranges are measured on.

    Raises:
        ModelError: onnxruntime's tools cannot do it.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def get_next(self) -> Inputs | None:
            return next(inputs, None)

    try:
        # onnxruntime's tools advise on the root logger, whose name is empty
        with quiet(""), tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / source.name
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                Reader(),
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except Exception as error:  # of many kinds, from the tools' depths
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{source.name} cannot be quantised by onnxruntime: {why}") from error


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
