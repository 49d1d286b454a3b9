"""The ConvNets: CNN-M-2048, slow fusion, and timm or torchvision nets with any input channels."""

from twostream.models.build import (
    build_model,
    classifier,
    first_convolution,
    first_layer_name,
    first_stages,
)
from twostream.models.cnn_m import CnnM2048
from twostream.models.declaration import IMAGENET_MEAN, IMAGENET_STD, Declaration, read_declaration
from twostream.models.imagenet import IMAGENET, imagenet_file, imagenet_weights
from twostream.models.slow_fusion import (
    SLOW_FUSION,
    SLOW_FUSION_SMALL,
    SlowFusion,
    SlowFusionSmall,
    check_input,
)
from twostream.models.weights import cross_modality_weights, load_weights, read_weights

__all__ = [
    "IMAGENET",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "SLOW_FUSION",
    "SLOW_FUSION_SMALL",
    "CnnM2048",
    "Declaration",
    "SlowFusion",
    "SlowFusionSmall",
    "build_model",
    "check_input",
    "classifier",
    "cross_modality_weights",
    "first_convolution",
    "first_layer_name",
    "first_stages",
    "imagenet_file",
    "imagenet_weights",
    "load_weights",
    "read_declaration",
    "read_weights",
]
