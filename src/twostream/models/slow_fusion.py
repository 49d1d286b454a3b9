"""Slow fusion over RGB frames (Karpathy et al. 2014), the baseline without flow of section 3.1.

A stack of L frames is reduced in time by the first three convolutions: the first sees windows of
L - 6 frames with stride 2 and gives 4 responses in time, the second and the third join two
neighbours each, 4 -> 2 -> 1, so that the third sees every frame. L = 10 gives Karpathy's first
extent of 4, L = 11 (the two-stream paper's) one of 5.

The time layers are 3D convolutions in the ``channels_last_3d`` layout. 2D convolutions over windows
of frames that are folded into the batch give the same, but a training step took them a third more
time in the small net and a twentieth more in the large one (one CPU thread, 64 px, batch 32).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from twostream.models.cnn_m import draw_weights, local_response_norm
from twostream.types import TemporalInput, UsageError

SLOW_FUSION = "slow-fusion"
SLOW_FUSION_SMALL = "slow-fusion-small"
SHORTEST = 8  # frames: the first extent is then 2, the shortest that sees motion


def first_extent(in_channels: int) -> int:
    """Return how many frames a first-layer filter of slow fusion spans.

    Args:
        in_channels: 3L, the channels of L RGB frames.

    Raises:
        UsageError: these are no RGB frames, or fewer than 8.

    >>> [first_extent(3 * length) for length in (8, 10, 11)]
    [2, 4, 5]
    """
    length, rest = divmod(in_channels, 3)
    if rest:
        raise UsageError(
            f"slow fusion sees RGB frames, 3 channels each, not the {in_channels} channels of "
            "optical flow: give --rgb-stack --length 11"
        )
    if length < SHORTEST:
        raise UsageError(
            f"slow fusion needs a stack of {SHORTEST} RGB frames or more (11 in the paper), got "
            f"{length}: give --rgb-stack --length 11"
        )
    return length - 6


def check_input(architecture: str, temporal: TemporalInput | None) -> None:
    """Refuse slow fusion for any input but an RGB stack, whatever its number of channels.

    Args:
        architecture: any network's name; the others take every input.
        temporal: the input that it is to see; None for the spatial stream.

    Raises:
        UsageError: slow fusion with single frames, flow, or fewer than 8 frames.
    """
    if architecture not in (SLOW_FUSION, SLOW_FUSION_SMALL):
        return
    if temporal is None or not temporal.rgb:
        what = "single frames" if temporal is None else "optical flow"
        raise UsageError(
            f"{architecture} sees a stack of RGB frames, not {what}: give it as --temporal-arch "
            "with --rgb-stack --length 11"
        )
    first_extent(temporal.num_channels)


def to_clip(x: Tensor) -> Tensor:
    """Turn (b, 3L, h, w), frame by frame, into (b, 3, L, h, w), laid out channels last."""
    clip = x.unflatten(1, (-1, 3)).transpose(1, 2)
    return clip.contiguous(memory_format=torch.channels_last_3d)


class SlowFusion(nn.Module):
    """Karpathy et al.'s slow fusion network.

    Their single-frame net, whose first three convolutions reach over time:
    C(96, 11, 3)-N-P-C(256, 5, 1)-N-P-C(384, 3, 1)-C(384, 3, 1)-C(256, 3, 1)-P-FC(4096)-FC(4096),
    where C(filters, side, stride), N is local response normalisation and P a 2x2 pool in space.

    What they leave open follows Krizhevsky 2012: convolutions after the first are padded to keep
    their size (170 -> 54 -> 27 -> 13 -> 6 px), dropout stands after both full layers. They crop
    170 px; here the first full layer is fitted to any crop.

    Args:
        num_classes: outputs of full8.
        in_channels: 3L, of L >= 8 RGB frames.
        dropout: for both full layers.
        input_size: side of the crop in pixels, at least 32.

    Raises:
        UsageError: channels that are no stack of 8 RGB frames or more, or too small a crop.
    """

    def __init__(
        self, num_classes: int, *, in_channels: int, dropout: float = 0.5, input_size: int = 170
    ) -> None:
        super().__init__()
        extent = first_extent(in_channels)
        self.conv1 = nn.Conv3d(3, 96, (extent, 11, 11), stride=(2, 3, 3))
        self.conv2 = nn.Conv3d(96, 256, (2, 5, 5), stride=(2, 1, 1), padding=(0, 2, 2))
        self.conv3 = nn.Conv3d(256, 384, (2, 3, 3), stride=(2, 1, 1), padding=(0, 1, 1))
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.norm = local_response_norm()
        side = ((input_size - 11) // 3 + 1) // 8
        if side < 1:
            raise UsageError(f"{SLOW_FUSION} needs crops of at least 32 px, got {input_size}")
        self.full6 = nn.Linear(256 * side * side, 4096)
        self.full7 = nn.Linear(4096, 4096)
        self.full8 = nn.Linear(4096, num_classes)
        self.dropout = nn.Dropout(dropout)
        draw_weights(self, self.full8)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, 3L, size, size) to logits (b, num_classes)."""
        x = torch.relu(self.conv1(to_clip(x)))  # responses in time and sizes for 170 x 170: 4, 54
        x = functional.max_pool3d(self.norm(x), (1, 2, 2))  # 4, 27
        x = torch.relu(self.conv2(x))  # 2, 27
        x = functional.max_pool3d(self.norm(x), (1, 2, 2))  # 2, 13
        x = torch.relu(self.conv3(x)).squeeze(2)  # 1, 13
        x = torch.relu(self.conv5(torch.relu(self.conv4(x))))  # 13
        x = functional.max_pool2d(x, 2).flatten(1)  # 6
        x = self.dropout(torch.relu(self.full6(x)))
        x = self.dropout(torch.relu(self.full7(x)))
        return self.full8(x)


class SlowFusionSmall(nn.Module):
    """``small-bn`` with slow fusion, for the ``quick`` recipe; our own.

    The layers of ``SmallNet``: where it halves the picture for the first three times, this net
    also reduces time.

    Args:
        num_classes: outputs.
        in_channels: 3L, of L >= 8 RGB frames.
        dropout: before the classifier.

    Raises:
        UsageError: channels that are no stack of 8 RGB frames or more.
    """

    def __init__(self, num_classes: int, *, in_channels: int, dropout: float) -> None:
        super().__init__()

        def unit(inputs: int, outputs: int, extent: int, size: int, stride: int) -> list[nn.Module]:
            convolution = nn.Conv3d(
                inputs,
                outputs,
                (extent, size, size),
                stride=(2 if extent > 1 else 1, stride, stride),
                padding=(0, size // 2, size // 2),
                bias=False,
            )
            return [convolution, nn.BatchNorm3d(outputs), nn.ReLU()]

        layers = unit(3, 24, first_extent(in_channels), 5, 2)  # 4 responses in time
        layers += unit(24, 48, 2, 3, 2) + unit(48, 48, 1, 3, 1)  # 2
        layers += unit(48, 96, 2, 3, 2) + unit(96, 96, 1, 3, 1)  # 1
        layers += unit(96, 192, 1, 3, 2) + unit(192, 192, 1, 3, 1)
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(192, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, 3L, h, w) to logits (b, num_classes)."""
        return self.classifier(self.dropout(self.features(to_clip(x)).mean(dim=(2, 3, 4))))
