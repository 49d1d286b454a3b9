"""CNN-M-2048 (Chatfield et al. 2014, "Return of the Devil in the Details"; section 2, figure 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twostream.types import UsageError

CNN_M_2048 = "cnn-m-2048"


def local_response_norm() -> nn.LocalResponseNorm:
    """Return the local response normalisation of these nets, over 5 channels."""
    # Krizhevsky 2012: n=5, k=2, alpha=1e-4 over the plain sum; torch divides alpha by n.
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)


def draw_weights(net: nn.Module, last: nn.Linear) -> None:
    """Draw a network's first weights; its last layer's are small."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear) and layer.bias is not None:
            # The papers do not say; He et al. 2015 keeps the scale through eight ReLU layers.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.normal_(last.weight, std=0.01)


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

        # each layer is registered once, by its name in the paper: a file holds each weight once
        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2, padding=1)
        self.conv3 = nn.Conv2d(256, 512, 3, padding=1)
        self.conv4 = nn.Conv2d(512, 512, 3, padding=1)
        self.conv5 = nn.Conv2d(512, 512, 3, padding=1)
        self.norm1 = local_response_norm()
        self.norm2 = local_response_norm() if second_norm else nn.Identity()
        self.pool1, self.pool2, self.pool5 = pool(), pool(), pool()
        self.relu = nn.ReLU()
        side = _cnn_m_side(input_size)
        self.full6 = nn.Linear(512 * side * side, 4096)
        self.full7 = nn.Linear(4096, 2048)
        self.full8 = nn.Linear(2048, num_classes)
        self.dropout = nn.Dropout(dropout)
        draw_weights(self, self.full8)

    @property
    def features(self) -> tuple[nn.Module, ...]:
        """The layers up to conv5's pool, in order; sizes for 224 x 224."""
        return (
            *(self.conv1, self.relu, self.norm1, self.pool1),  # 109 -> 54
            *(self.conv2, self.relu, self.norm2, self.pool2),  # 26 -> 13
            *(self.conv3, self.relu, self.conv4, self.relu),  # 13
            *(self.conv5, self.relu, self.pool5),  # 6
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, in_channels, size, size) to logits (b, num_classes)."""
        for layer in self.features:
            x = layer(x)
        x = x.flatten(1)
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
