"""Where a network looked: known answers of nets that look at one place only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twostream.checkpoint import StreamModel
from twostream.prediction.saliency import saliency
from twostream.types import TemporalInput
from untrained import make_model

SIDE = 32


class Quarter(nn.Module):
    """Class 0 is the mean of one quarter of the picture, class 1 looks at nothing."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, crops: Tensor) -> Tensor:
        seen = crops[..., self.rows, self.columns].mean(dim=(1, 2, 3))
        return torch.stack([seen, torch.zeros_like(seen)], dim=1)


def looking_at(temporal: TemporalInput | None, rows: slice, columns: slice) -> StreamModel:
    """A model without mirrored crops, for frames that are as large as its crop."""
    spec = make_model(temporal).spec
    spec = replace(spec, classes=("here", "nowhere"), crop_size=SIDE, flips=False)
    return StreamModel(spec, Quarter(rows, columns)).eval()


@pytest.mark.parametrize("temporal", [None, TemporalInput(length=4)], ids=["rgb", "flow"])
@pytest.mark.parametrize("top", [True, False])
def test_a_net_that_looks_at_one_quarter(temporal: TemporalInput | None, top: bool) -> None:
    rows = slice(0, SIDE // 2) if top else slice(SIDE // 2, SIDE)
    model = looking_at(temporal, rows, slice(0, SIDE // 2))
    shape = (1, 3, SIDE, SIDE) if temporal is None else (4, 2, SIDE, SIDE)
    stack = np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float32)
    kept = stack.copy()
    found = saliency(model, stack, 0)
    assert found.shape == (SIDE, SIDE) and found.dtype == np.float32
    assert found.max() == 1 and found.min() >= 0
    inside = found[rows, : SIDE // 2].sum()
    assert inside > 0.93 * found.sum()  # the rest is the blur over the edge
    assert found[rows, SIDE // 2 + 6 :].max() == 0
    np.testing.assert_array_equal(stack, kept)


def test_what_does_not_move_does_not_count() -> None:
    """A net that looks everywhere: only the place with motion adds to its score."""
    model = looking_at(TemporalInput(length=4), slice(None), slice(None))
    stack = np.zeros((4, 2, SIDE, SIDE), np.float32)
    assert not saliency(model, stack, 0).any()
    stack[:, 0, 20:26, 4:10] = 3
    found = saliency(model, stack, 0)
    assert np.unravel_index(found.argmax(), found.shape)[0] in range(20, 26)
    assert found[:14].max() == 0 and found[:, 16:].max() == 0


def test_crops_count_as_they_are_scored() -> None:
    """A wider frame: the net sees its left half of each crop, so never the frame's right end."""
    model = looking_at(None, slice(None), slice(0, SIDE // 2))
    stack = np.full((1, 3, SIDE, 2 * SIDE), 0.9, np.float32)
    found = saliency(model, stack, 0)
    assert found[:, -SIDE // 2 + 6 :].max() == 0 and found[:, :8].min() > 0
    mirrored = StreamModel(replace(model.spec, flips=True), model.network).eval()
    assert saliency(mirrored, stack, 0)[:, -8:].min() > 0


def test_colours_of_a_net_of_caffe() -> None:
    """Its mean belongs to blue first: a frame at the mean adds nothing anywhere."""
    model = looking_at(None, slice(None), slice(None))
    spec = replace(model.spec, channel_order="bgr", mean=(0.1, 0.5, 0.8), std=(1.0, 2.0, 3.0))
    model = StreamModel(spec, model.network).eval()
    stack = np.empty((1, 3, SIDE, SIDE), np.float32)
    stack[:, 0], stack[:, 1], stack[:, 2] = 0.8, 0.5, 0.1
    assert not saliency(model, stack, 0).any()


def test_gradients_of_the_model_are_left_alone() -> None:
    model = make_model(None).eval()
    stack = np.random.default_rng(0).uniform(0, 1, (1, 3, 40, 53)).astype(np.float32)
    first = saliency(model, stack, 2)
    assert all(parameter.grad is None for parameter in model.parameters())
    np.testing.assert_array_equal(saliency(model, stack, 2), first)
    assert first.any() and not np.array_equal(first, saliency(model, stack, 3))
