"""The ConvNets: CNN-M-2048 in full, and timm or torchvision backbones with any input channels."""

from twostream.models.build import (
    SQUEEZENET,
    build_model,
    classifier,
    first_convolution,
    first_layer_name,
)
from twostream.models.cnn_m import CNN_M_2048, CnnM2048
from twostream.models.small import SMALL, SmallNet
from twostream.models.weights import (
    LoadReport,
    cross_modality_weights,
    load_weights,
    read_weights,
)

__all__ = [
    "CNN_M_2048",
    "SMALL",
    "SQUEEZENET",
    "CnnM2048",
    "LoadReport",
    "SmallNet",
    "build_model",
    "classifier",
    "cross_modality_weights",
    "first_convolution",
    "first_layer_name",
    "load_weights",
    "read_weights",
]
