"""RAFT (Teed and Deng, ECCV 2020) as torchvision has it; its weights come from a file that is here.

Nothing is ever downloaded. The weights' checksum is one of the parameters, so that a model that was
trained on this flow is never used with other weights.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.flow.estimators import FlowEstimator
from twostream.types import ModelError

MULTIPLE_PX = 8  # the features have an eighth of the size
MIN_SIDE_PX = 128  # four levels of correlation need features of 16 px


class _Raft(FlowEstimator):
    """What both sizes share; use one instance per thread.

    Frames are padded at the bottom and right by repeating the border, to multiples of 8 px and at
    least 128 px. Grey stands in all three colours, as torchvision's RAFT takes RGB. Runs on
    ``device``, "cpu" or "cuda"; "auto" is CUDA where there is one.

    Raises:
        ModelError: no weights here, or not those wanted; the sentence says where to put them.
    """

    @dataclass(frozen=True, kw_only=True)
    class Parameters:
        """What can be set."""

        num_flow_updates: int = 12  # iterations of the recurrent update
        weights: str = ""  # their file; "" looks into the environment, then torch's hub cache
        weights_crc: int = 0  # checksum that the file must have; 0 takes any

    builder = ""
    url = ""
    device = "auto"
    chosen: Parameters

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self._path = self._find(self.chosen.weights)
        status = self._path.stat()
        self._crc = _checksum(self._path, status.st_mtime_ns, status.st_size)
        if self.chosen.weights_crc not in (0, self._crc):
            raise ModelError(
                f"{self._path} has not the weights of {self.name} that this flow was made with "
                f"(checksum {self._crc}, wanted {self.chosen.weights_crc}): put that file in its "
                "place"
            )
        self._net: Any = None  # built with the first pair: settings are asked for more often

    @property
    def parameters(self) -> dict[str, int | float]:
        """Everything that decides its results: of the weights, their checksum."""
        return {"num_flow_updates": self.chosen.num_flow_updates, "weights_crc": self._crc}

    @classmethod
    def variable(cls) -> str:
        """Return the environment variable that may name the file."""
        return f"TWOSTREAM_{cls.name.upper().replace('-', '_')}"

    def _find(self, weights: str) -> Path:
        named = weights or os.environ.get(self.variable(), "")
        if named:
            path = Path(named)
        else:
            from torch.hub import get_dir

            path = Path(get_dir()) / "checkpoints" / self.url.rpartition("/")[2]
        if not path.is_file():
            raise ModelError(
                f"{self.name} needs its weights, which are not at {path}: download {self.url} "
                f"and put it there, or name the file in {self.variable()}"
            )
        return path

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (2, h, w) field from ``first`` to ``second``, (h, w) uint8 grey each."""
        import torch

        if self._net is None:
            self._net = self._load()
        height, width = first.shape
        with torch.inference_mode():
            pair = [torch.from_numpy(_pad(grey)).to(self._device) for grey in (first, second)]
            inputs = [
                (grey.float() / 127.5 - 1).expand(1, 3, *grey.shape).contiguous() for grey in pair
            ]
            try:
                flow = self._net(*inputs, num_flow_updates=self.chosen.num_flow_updates)[-1][0]
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    f"{self.name}: {width}x{height} px do not fit the GPU's memory: use a smaller "
                    "--short-side or fewer --workers"
                ) from error
            field = flow[:, :height, :width].cpu().numpy()
        return np.ascontiguousarray(field, np.float32)

    def _load(self) -> Any:
        import torch
        from torchvision.models import optical_flow

        chosen = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = chosen if self.device == "auto" else self.device
        net = getattr(optical_flow, self.builder)(weights=None)
        try:
            net.load_state_dict(_read(self._path))
        except (RuntimeError, AttributeError) as error:
            first = str(error).strip().splitlines()[:2][-1].strip()
            raise ModelError(
                f"{self._path} does not hold torchvision's weights of {self.name}: {first}"
            ) from error
        return net.to(self._device).eval()


class RaftSmall(_Raft):
    """RAFT with a million weights: faster, less accurate."""

    name = "raft-small"
    builder = "raft_small"
    url = "https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth"


class RaftLarge(_Raft):
    """RAFT with five million weights."""

    name = "raft-large"
    builder = "raft_large"
    url = "https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth"


@lru_cache(maxsize=8)
def _checksum(path: Path, changed_ns: int, size: int) -> int:
    try:
        return zlib.crc32(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    """Return the state dict of a file; only tensors in plain containers are read."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise ModelError(f"{path} cannot be read as a file of weights") from error
    state = state.get("state_dict", state)
    return {name.removeprefix("module."): value for name, value in state.items()}


def _pad(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bottom, right = (
        max(MIN_SIDE_PX, -(-side // MULTIPLE_PX) * MULTIPLE_PX) - side for side in grey.shape
    )
    return np.ascontiguousarray(np.pad(grey, ((0, bottom), (0, right)), mode="edge"))
