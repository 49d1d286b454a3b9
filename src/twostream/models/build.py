"""From a name to a network: our own, torchvision's SqueezeNet, and any of timm's."""

from __future__ import annotations

from typing import Any

from torch import nn

from twostream.models.cnn_m import CNN_M_2048, CnnM2048
from twostream.models.slow_fusion import SLOW_FUSION, SLOW_FUSION_SMALL, SlowFusion, SlowFusionSmall
from twostream.models.small import SMALL, SmallNet
from twostream.types import ModelError, Stream

SQUEEZENET = "squeezenet1_0"
OWN = (CNN_M_2048, SMALL, SLOW_FUSION, SLOW_FUSION_SMALL, SQUEEZENET)


def build_model(
    architecture: str,
    num_classes: int,
    *,
    stream: Stream,
    in_channels: int,
    dropout: float,
    input_size: int,
    pretrained: bool = False,
) -> nn.Module:
    """Build a network from its name.

    Args:
        architecture: ``cnn-m-2048``, ``small-bn``, ``slow-fusion`` and ``slow-fusion-small`` (for
            RGB stacks), ``squeezenet1_0`` (torchvision) or any timm model name.
        num_classes: number of outputs.
        stream: decides CNN-M's second LRN.
        in_channels: 3, or the temporal input's ``num_channels``.
        dropout: probability before the classifier (in CNN-M for both full layers).
        input_size: side of the crops, pixels.
        pretrained: take timm's own weights, which may be downloaded from its hub.

    Raises:
        ModelError: no such architecture, or the hub cannot be reached.
        UsageError: the network does not take this crop or these channels.
    """
    if pretrained and architecture in OWN:
        raise ModelError(
            f"there are no hub weights for {architecture}: give a file with --weights, "
            "or choose a timm model with --arch"
        )
    sizes: Any = {"num_classes": num_classes, "in_channels": in_channels, "dropout": dropout}
    if architecture == CNN_M_2048:
        return CnnM2048(**sizes, second_norm=stream == "spatial", input_size=input_size)
    if architecture == SLOW_FUSION:
        return SlowFusion(**sizes, input_size=input_size)
    if architecture == SLOW_FUSION_SMALL:
        return SlowFusionSmall(**sizes)
    if architecture == SMALL:
        return SmallNet(**sizes)
    if architecture == SQUEEZENET:
        return _squeezenet(**sizes)
    import timm

    if not timm.is_model(architecture):
        close = timm.list_models(f"*{architecture}*")[:5]
        raise ModelError(
            f"unknown architecture {architecture!r}: use {', '.join(OWN)} or a timm "
            "model name" + (f" such as {', '.join(close)}" if close else " such as resnet18")
        )
    try:
        return timm.create_model(
            architecture,
            pretrained=pretrained,
            num_classes=num_classes,
            in_chans=in_channels,
            drop_rate=dropout,
        )
    except Exception as error:  # the hub client raises a dozen kinds
        if not pretrained:
            raise ModelError(f"timm cannot build {architecture}: {error}") from error
        raise ModelError(
            f"the hub weights of {architecture} cannot be fetched ({type(error).__name__}); "
            "go online, fill the hub's cache first, or give a local file with --weights"
        ) from error


def _squeezenet(num_classes: int, in_channels: int, dropout: float) -> nn.Module:
    from torchvision.models import squeezenet1_0

    model = squeezenet1_0(num_classes=num_classes, dropout=dropout)
    # torchvision has a ReLU on the class scores, which starves classes whose score starts below 0
    model.classifier[2] = nn.Identity()
    if in_channels != 3:
        model.features[0] = nn.Conv2d(in_channels, 96, kernel_size=7, stride=2)
        nn.init.kaiming_uniform_(model.features[0].weight)
        nn.init.zeros_(model.features[0].bias)
    return model


def classifier(model: nn.Module) -> nn.Module:
    """Return the last layer, the one that ``--train last-layer`` trains."""
    if isinstance(model, CnnM2048 | SlowFusion):
        return model.full8
    if hasattr(model, "get_classifier"):  # every timm model
        return model.get_classifier()  # type: ignore[operator]
    return model.get_submodule("classifier")  # torchvision


def first_stages(model: nn.Module, count: int) -> list[nn.Parameter]:
    """Return the weights of a timm network's first stages, its stem counted as one; else none."""
    if not count or not hasattr(model, "group_matcher"):
        return []
    from timm.models import group_parameters

    groups = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
    names = {name for stage in sorted(groups)[:count] for name in groups[stage]}
    return [parameter for name, parameter in model.named_parameters() if name in names]


def first_convolution(model: nn.Module) -> nn.Conv2d | nn.Conv3d:
    """Return the layer that sees the input: all of its channels, or (3D) its frames' colours."""
    return next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d))


def first_layer_name(model: nn.Module) -> str:
    """Return the name of the first convolution's weight in the state dict."""
    first = first_convolution(model)
    return next(f"{name}.weight" for name, module in model.named_modules() if module is first)
