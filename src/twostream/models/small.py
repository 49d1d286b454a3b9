"""The small net of the ``quick`` recipe."""

from __future__ import annotations

from torch import Tensor, nn

SMALL = "small-bn"


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
