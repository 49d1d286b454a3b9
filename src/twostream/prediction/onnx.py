"""Streams of an exported folder: ONNX files, run by onnxruntime. No torch here or below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.store.clips import Clip
from twostream.types import ModelError, ModelSpec, UsageError

# Crops that go through the network at once, as in `evaluate`: enough to keep it busy.
_BATCH_BYTES = 16 << 20
_CROPS = {"ten": 10, "centre": 2}


class OnnxStream:
    """A stream's exported network, ready to score. Safe to call from several threads.

    Args:
        path: the file.
        spec: what the network is and sees.
        device: "cpu", "cuda", or "auto": a GPU if this onnxruntime has one.

    Raises:
        ModelError: onnxruntime is not installed, or cannot read the file.
        UsageError: a GPU is asked for that this onnxruntime has not.
    """

    def __init__(self, path: Path, spec: ModelSpec, *, device: str = "cpu") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                "an exported network runs on onnxruntime, which is not installed: "
                "pip install 'twostream[onnx]'"
            ) from error
        gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        if device == "cuda" and not gpu:
            raise UsageError("this onnxruntime has no GPU: install onnxruntime-gpu, or use the CPU")
        providers = ["CPUExecutionProvider"]
        if gpu and device != "cpu":
            providers.insert(0, "CUDAExecutionProvider")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # what matters is raised
        # threads that spin between operations keep others from working: two of them were slower
        # than one beside another program, and flow comes from the same cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        limit = os.environ.get("OMP_NUM_THREADS", "")
        if limit.isdecimal():  # torch and OpenCV follow it, onnxruntime does not by itself
            options.intra_op_num_threads = int(limit)
        try:
            self.session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=providers
            )
        except Exception as error:  # a kind of its own for each of a dozen troubles
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"onnxruntime cannot read {path} ({why}): export again") from error
        self.spec = spec

    def score(self, clip: Clip, positions: int | None = None) -> NDArray[np.float32]:
        """Return a clip's (k,) softmax scores: the mean over its positions and their crops."""
        counts = clip.positions(self.spec.temporal, positions or self.spec.test_positions)
        scores = self.looks([(clip, place) for place in counts])
        weights = np.array(list(counts.values()), np.float32)
        return weights @ scores / weights.sum()

    def looks(self, wanted: Sequence[tuple[Clip, int]]) -> NDArray[np.float32]:
        """Return (n, k) softmax scores of single positions of clips."""
        spec = self.spec
        per_crop = 4 * spec.in_channels * spec.crop_size**2
        samples = max(1, _BATCH_BYTES // (_CROPS[spec.test_crops] * per_crop))
        rows = []
        for first in range(0, len(wanted), samples):
            chunk = wanted[first : first + samples]
            stacks = [clip.stored(spec.temporal, place) for clip, place in chunk]
            rows.append(self.run({name: np.stack([s[name] for s in stacks]) for name in stacks[0]}))
        return np.concatenate(rows)

    def run(self, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return (b, k) scores of whole stacks, each the mean over its crops.

        Args:
            inputs: name -> (b, ...), see ``Clip.stored`` and the contract.
        """
        return self.session.run(["scores"], inputs)[0]
