"""Why a label: which stream decided, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twostream.types import Stream

SEES = {"spatial": "appearance", "temporal": "motion"}
_CLEAR = 0.1  # streams whose scores are nearer than this are equally sure


def which_decided(
    classes: Sequence[str],
    fused: NDArray[np.float32],
    streams: Mapping[Stream, NDArray[np.float32]],
) -> str:
    """Say which stream the fused label comes from.

    Args:
        classes: k names.
        fused: (k,) probabilities.
        streams: stream -> (k,) probabilities.

    >>> scores = {"spatial": np.array([0.6, 0.4]), "temporal": np.array([0.1, 0.9])}
    >>> which_decided(("walk", "run"), np.array([0.35, 0.65]), scores)
    'Motion decided: it says run (90%), appearance alone would say walk (60%).'
    """
    label = int(fused.argmax())
    first = {name: int(scores.argmax()) for name, scores in streams.items()}
    sure = {name: f"{100 * float(scores.max()):.0f}%" for name, scores in streams.items()}
    if len(streams) == 1:
        (only,) = streams
        return f"This run has one stream, {SEES[only]}: it says {classes[label]} ({sure[only]})."
    agree = [name for name in streams if first[name] == label]
    other = [name for name in streams if first[name] != label]
    if not other:
        one, two = sorted(streams, key=lambda name: -float(streams[name][label]))
        apart = float(streams[one][label]) - float(streams[two][label])
        surer = f", {SEES[one]} is the surer one" if apart > _CLEAR else ""
        says = " and ".join(f"{SEES[name]} ({sure[name]})" for name in streams)
        return f"Both agree: {says} say {classes[label]}{surer}."
    if agree:
        (one,), (two,) = agree, other
        return (
            f"{SEES[one].capitalize()} decided: it says {classes[label]} ({sure[one]}), "
            f"{SEES[two]} alone would say {classes[first[two]]} ({sure[two]})."
        )
    says = ", ".join(f"{SEES[name]} says {classes[first[name]]} ({sure[name]})" for name in streams)
    return f"Neither alone would say {classes[label]}: {says}; together it comes out on top."
