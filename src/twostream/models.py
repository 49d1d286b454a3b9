"""The ConvNets: CNN-M-2048 in full, and timm or torchvision backbones with any input channels.

Chatfield et al. 2014, "Return of the Devil in the Details", as used in section 2, figure 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from twostream.types import ModelError, Stream, UsageError

CNN_M_2048 = "cnn-m-2048"
SQUEEZENET = "squeezenet1_0"
SMALL = "small-bn"


def _local_response_norm() -> nn.LocalResponseNorm:
    # Krizhevsky 2012: n=5, k=2, alpha=1e-4 over the plain sum; torch divides alpha by n.
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)


class CnnM2048(nn.Module):
    """CNN-M-2048 (section 2, figure 1).

    The temporal net differs in one thing only: no local response normalisation after conv2.
    Pools are 3x3 with stride 2 and round up (section 5's text; figure 1 draws 2x2).

    Args:
        num_classes: outputs of full8.
        in_channels: 3 for RGB, 2L for a flow stack.
        second_norm: LRN after conv2 (the spatial net).
        dropout: for full6 and full7 both.
        input_size: side of the crop in pixels, which full6 is fitted to; 224 in the paper.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        in_channels: int = 3,
        second_norm: bool = True,
        dropout: float = 0.5,
        input_size: int = 224,
    ) -> None:
        super().__init__()

        def pool() -> nn.MaxPool2d:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2, padding=1)
        self.conv3 = nn.Conv2d(256, 512, 3, padding=1)
        self.conv4 = nn.Conv2d(512, 512, 3, padding=1)
        self.conv5 = nn.Conv2d(512, 512, 3, padding=1)
        second = _local_response_norm() if second_norm else nn.Identity()
        self.features = nn.Sequential(  # sizes for 224 x 224
            *(self.conv1, nn.ReLU(), _local_response_norm(), pool()),  # 109 -> 54
            *(self.conv2, nn.ReLU(), second, pool()),  # 26 -> 13
            *(self.conv3, nn.ReLU(), self.conv4, nn.ReLU()),  # 13
            *(self.conv5, nn.ReLU(), pool()),  # 6
        )
        side = _cnn_m_side(input_size)
        self.full6 = nn.Linear(512 * side * side, 4096)
        self.full7 = nn.Linear(4096, 2048)
        self.full8 = nn.Linear(2048, num_classes)
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                # The paper does not say; He et al. 2015 keeps the scale through eight ReLU layers.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.full8.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, in_channels, size, size) to logits (b, num_classes)."""
        x = self.features(x).flatten(1)
        x = self.dropout(torch.relu(self.full6(x)))
        x = self.dropout(torch.relu(self.full7(x)))
        return self.full8(x)


def _cnn_m_side(size: int) -> int:
    """Return the side of conv5's pooled output for a square input: 224 -> 6."""

    def pooled(n: int) -> int:
        return -(-(n - 3) // 2) + 1

    side = pooled((size - 7) // 2 + 1)
    side = pooled((side + 2 - 5) // 2 + 1)
    side = pooled(side)
    if size < 41 or side < 1:
        raise UsageError(f"{CNN_M_2048} needs crops of at least 41 px, got {size}")
    return side


class SmallNet(nn.Module):
    """A small net for the ``quick`` recipe: seven convolutions, each with batch normalisation.

    CNN-M with LRN does not begin to learn from a few dozen clips in some hundred steps; batch
    normalisation does. A global mean before the classifier takes crops of any size.

    Args:
        num_classes: outputs.
        in_channels: 3 for RGB, 2L for a flow stack.
        dropout: before the classifier.
    """

    def __init__(self, num_classes: int, *, in_channels: int, dropout: float) -> None:
        super().__init__()

        def unit(inputs: int, outputs: int, size: int, stride: int) -> list[nn.Module]:
            convolution = nn.Conv2d(
                inputs, outputs, size, stride=stride, padding=size // 2, bias=False
            )
            return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

        layers = unit(in_channels, 24, 5, 2)
        for inputs, outputs in ((24, 48), (48, 96), (96, 192)):
            layers += unit(inputs, outputs, 3, 2) + unit(outputs, outputs, 3, 1)
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(192, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, in_channels, h, w) to logits (b, num_classes)."""
        return self.classifier(self.dropout(self.features(x).mean(dim=(2, 3))))


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
        architecture: ``cnn-m-2048``, ``small-bn``, ``squeezenet1_0`` (torchvision) or any timm
            model name.
        num_classes: number of outputs.
        stream: decides CNN-M's second LRN.
        in_channels: 3, or the temporal input's ``num_channels``.
        dropout: probability before the classifier (in CNN-M for both full layers).
        input_size: side of the crops, pixels.
        pretrained: take timm's own weights, which may be downloaded from its hub.

    Raises:
        ModelError: no such architecture, or the hub cannot be reached.
    """
    if pretrained and architecture in (CNN_M_2048, SMALL, SQUEEZENET):
        raise ModelError(
            f"there are no hub weights for {architecture}: give a file with --weights, "
            "or choose a timm model with --arch"
        )
    if architecture == CNN_M_2048:
        return CnnM2048(
            num_classes,
            in_channels=in_channels,
            second_norm=stream == "spatial",
            dropout=dropout,
            input_size=input_size,
        )
    if architecture == SMALL:
        return SmallNet(num_classes, in_channels=in_channels, dropout=dropout)
    if architecture == SQUEEZENET:
        return _squeezenet(num_classes, in_channels, dropout)
    import timm

    if not timm.is_model(architecture):
        close = timm.list_models(f"*{architecture}*")[:5]
        raise ModelError(
            f"unknown architecture {architecture!r}: use {CNN_M_2048}, {SMALL}, {SQUEEZENET} or a "
            f"timm "
            f"model name" + (f" such as {', '.join(close)}" if close else " such as resnet18")
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
    if isinstance(model, CnnM2048):
        return model.full8
    if hasattr(model, "get_classifier"):  # every timm model
        return model.get_classifier()  # type: ignore[operator]
    return model.get_submodule("classifier")  # torchvision


def first_convolution(model: nn.Module) -> nn.Conv2d:
    """Return the layer that sees the input channels."""
    return next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))


@dataclass(frozen=True)
class LoadReport:
    """What a weights file did to a model; every weight that did not fit is named.

    Attributes:
        loaded: names taken from the file.
        missing: names in the model that the file does not have.
        unexpected: names in the file that the model does not have.
        mismatched: name -> (shape in the file, shape in the model).
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def describe(self) -> str:
        """Return one line a kind of trouble, for people."""
        lines = [f"{len(self.loaded)} weights loaded"]
        for word, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            if names:
                lines.append(f"{len(names)} {word}: {', '.join(names)}")
        for name, (found, wanted) in self.mismatched.items():
            lines.append(f"mis-shaped {name}: file {found}, model {wanted}; left as initialised")
        return "; ".join(lines)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata; no pickle is ever loaded.

    Raises:
        ModelError: no such file, or not a safetensors file.
    """
    if not path.is_file():
        raise ModelError(f"no weights file {path}: check --weights")
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error}): convert it first") from error


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Copy the weights that fit into the model and report every one that does not.

    Raises:
        ModelError: nothing but the last layer would be left to load.
    """
    own = model.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(k for k in own if k not in tensors),
        unexpected=tuple(k for k in tensors if k not in own),
        mismatched={
            k: (tuple(v.shape), tuple(own[k].shape))
            for k, v in tensors.items()
            if k in own and own[k].shape != v.shape
        },
    )
    if len(fitting) < len(own) / 2:
        raise ModelError(
            f"these weights do not belong to this model, only {len(fitting)} of {len(own)} fit: "
            f"{report.describe()}"
        )
    model.load_state_dict(fitting, strict=False)
    return report


def cross_modality_weights(
    tensors: Mapping[str, Tensor], first_layer: str, in_channels: int
) -> dict[str, Tensor]:
    """Turn an RGB net's weights into ones for ``in_channels`` of flow (Wang et al. 2016, TSN).

    The first layer's filters are averaged over colour and repeated for every channel.

    Args:
        tensors: the RGB net's weights.
        first_layer: name of the first convolution's weight, (out, 3, kh, kw).
        in_channels: 2L.
    """
    weight = tensors[first_layer]
    mean = weight.mean(dim=1, keepdim=True)
    return {**tensors, first_layer: mean.repeat(1, in_channels, 1, 1)}


def first_layer_name(model: nn.Module) -> str:
    """Return the name of the first convolution's weight in the state dict."""
    first = first_convolution(model)
    return next(f"{name}.weight" for name, module in model.named_modules() if module is first)
