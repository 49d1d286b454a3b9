"""Where a network looked: gradient times input of the score that it gave, per pixel."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from twostream.checkpoint import StreamModel
from twostream.scoring import scored_crops

_BLUR_SHARE = 0.03  # of the shorter side: single pixels tell nothing to an eye


def saliency(model: StreamModel, stack: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """Return how much each pixel had to do with a class's score.

    The score is the class's logit above the mean of all logits, averaged over the crops that
    are scored. Its gradient by each value of the stack, times the normalised value, says what the
    value added (to first order); the absolute values are summed over channels and fields.

    Args:
        model: the stream; its parameters are left alone.
        stack: (length, c, h, w), flow in pixels or RGB in 0..1, at least as large as the crop.
        label: index of the class.

    Returns:
        (h, w) float32, the largest value 1; all 0 where nothing counts, such as without motion.
    """
    spec = model.spec
    device = model.mean.device
    values = torch.as_tensor(stack, device=device)[None].requires_grad_()
    with torch.enable_grad():
        crops, shares = scored_crops(spec, values)
        logits = model(crops[0]).float()
        score = shares @ (logits[:, label] - logits.mean(dim=1))
        (gradient,) = torch.autograd.grad(score, values)
    mean, std = model.mean, model.std
    if spec.channel_order == "bgr":
        mean, std = mean.flip(0), std.flip(0)
    added = gradient * (values.detach() - mean) / std
    # over the colours of a pixel first: what one adds another may take away again
    pixels = added[0].sum(dim=1).abs().sum(dim=0).cpu().numpy()
    smooth = cv2.GaussianBlur(pixels, (0, 0), _BLUR_SHARE * min(pixels.shape))
    largest = float(smooth.max())
    return np.asarray(smooth / largest if largest > 0 else smooth, np.float32)
