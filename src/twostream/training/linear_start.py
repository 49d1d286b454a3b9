"""The last layer of a fine-tuning starts as a linear probe (LP-FT, Kumar et al. 2022).

A random last layer first pulls the features that it stands on out of shape, and what they knew of
other scenes is lost; one that is right already leaves them nearly as they were.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from twostream.checkpoint import StreamModel
from twostream.loader import ScoringSamples, batches
from twostream.models import classifier
from twostream.scoring import last_layer_inputs
from twostream.store.clips import Clips
from twostream.threads import ahead
from twostream.types import LabeledVideo, Progress, no_progress

logger = logging.getLogger(__name__)

POSITIONS = 3  # frames or stacks a clip
STRENGTH = 0.01  # scikit-learn's C, of standardised features
# of the probe's weights: a last layer that is sure of all clips leaves nothing to learn
SHARE = 0.5


def start_as_probe(
    model: StreamModel,
    videos: Sequence[LabeledVideo],
    clips: Clips,
    *,
    device: torch.device | str = "cpu",
    loader_workers: int = 0,
    progress: Progress = no_progress,
) -> None:
    """Set the last layer to half of a logistic regression on the training clips' features.

    Args:
        model: a network that starts from weights, changed in place.
        videos: the training clips; labels are the model's classes, two of them at least.
        clips: their stored frames or flow.
        device: where the network runs meanwhile.
        loader_workers: processes that read clips ahead.
        progress: told after each clip.
    """
    last = classifier(model.network)
    if not isinstance(last, nn.Linear):
        return
    features, labels = _features(model, videos, clips, device, loader_workers, progress)
    present = np.unique(labels)
    if len(present) < 2:  # nothing to tell apart, as in a fold that holds one of two classes out
        return
    weight, bias = fitted_probe(features, labels)
    with torch.no_grad():
        last.weight[present] = torch.as_tensor(SHARE * weight, dtype=last.weight.dtype)
        last.bias[present] = torch.as_tensor(SHARE * bias, dtype=last.bias.dtype)


def fitted_probe(
    features: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    counts: NDArray[np.floating[Any]] | None = None,
    *,
    tolerance: float = 1e-4,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Fit a regularised multinomial logistic regression to standardised features.

    Args:
        features: (n, d), one row a clip.
        labels: (n,) of k >= 2 different classes.
        counts: (n,) how often each clip counts; None: once.
        tolerance: the largest part of the gradient where the fit ends (scikit-learn's ``tol``).

    Returns:
        Weights (k, d) and biases (k,) for features as they are, classes ascending.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # one that hardly ever answers must not weigh a thousand times what the others do
    deviation = np.maximum(deviation, max(0.1 * float(deviation.mean()), 1e-12))
    probe = LogisticRegression(C=STRENGTH, tol=tolerance, max_iter=2000)
    probe.fit((features - mean) / deviation, labels, sample_weight=counts)
    weight, bias = probe.coef_ / deviation, probe.intercept_
    if len(weight) == 1:  # of two classes scikit-learn gives the second one's alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias - weight @ mean


def _features(
    model: StreamModel,
    videos: Sequence[LabeledVideo],
    clips: Clips,
    device: torch.device | str,
    loader_workers: int,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what the last layer sees of each clip, (n, d), a mean over its looks; and labels."""
    # moved outside of inference mode: weights that it makes cannot be trained any more
    model = model.to(device).eval()
    spec = model.spec
    samples = ScoringSamples(clips, videos, spec.temporal, POSITIONS, spec.centre_size)
    loader = batches(samples, range(len(videos)), workers=loader_workers)
    rows, labels = [], []
    with closing(ahead(loader, depth=0)) as items:
        for done, item in enumerate(items, start=1):
            if "error" in item:  # training may never draw what is damaged of it
                logger.warning(f"{item['error']}; the last layer starts without it")
            else:
                looks, weights = last_layer_inputs(model, item["stacks"])
                counts = item["counts"].to(device).double()
                shares = counts / counts.sum(), weights.double()
                rows.append(torch.einsum("n,m,nmd->d", *shares, looks.double()).cpu().numpy())
                labels.append(videos[int(item["row"])].label)
            progress(f"features {model.spec.stream}", done, len(videos))
    model.cpu()
    return np.array(rows), np.array(labels, np.int64)
