"""The codec's motion vectors, as FFmpeg exports them; and which files' vectors can be believed.

FFmpeg tells a vector's block, where it was predicted from, and whether that lies in the past or in
the future, but not in which frame. Only where it must be the frame shown just before are the
vectors a flow: without B-frames, and in H.264 with one reference frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from av.codec.context import Flags, Flags2

from twostream.types import BlockMotion, VideoError
from twostream.video.h264 import max_reference_frames

CODECS = ("mpeg4", "h264", "mpeg1video", "mpeg2video")  # FFmpeg exports none of newer ones
INTRA, PREDICTED = 1, 2  # AVPictureType
ADVICE = "make a copy with ffmpeg -i IN -c:v mpeg4 -bf 0 -q:v 3 OUT.avi, or use another flow method"


def export_motion(path: Path, stream: Any) -> None:
    """Ask the decoder for motion vectors.

    Raises:
        VideoError: the codec gives none, or none that can be believed.
    """
    context = stream.codec_context
    if context.name not in CODECS:
        raise VideoError(
            path,
            f"its codec {context.name} gives no motion vectors, only {', '.join(CODECS)}: {ADVICE}",
        )
    if context.name == "h264":
        frames = max_reference_frames(context.extradata)
        if frames is None or frames > 1:
            several = "an unknown number of" if frames is None else str(frames)
            raise VideoError(
                path,
                f"its motion vectors may point into any of {several} frames before, and which one "
                f"is not told: {ADVICE}",
            )
    else:
        # MPEG decoders keep a frame back for B-frames, and the last one loses its vectors so.
        # Where there are B-frames they come in the wrong order now, and are refused all the same.
        context.flags |= Flags.low_delay
    context.flags2 |= Flags2.export_mvs


def read_motion(path: Path, raw: Any, rotation: int, mirrored: bool = False) -> BlockMotion:
    """Return the vectors of a decoded frame; none for an intra frame.

    Args:
        path: of the video, for errors.
        raw: the av frame.
        rotation, mirrored: what makes the coded picture upright.

    Raises:
        VideoError: the frame is of a kind whose vectors are no flow.
    """
    if raw.pict_type not in (INTRA, PREDICTED):
        raise VideoError(
            path,
            "it has B-frames (or sprites), whose motion vectors do not point to the frame before: "
            f"{ADVICE}",
        )
    if raw.interlaced_frame:
        raise VideoError(
            path, f"it is interlaced, and its motion vectors are of half frames: {ADVICE}"
        )
    data = raw.side_data.get("MOTION_VECTORS")
    coded = (raw.height, raw.width, rotation, mirrored)
    if data is None:
        return BlockMotion(np.zeros((0, 4), np.int32), np.zeros((0, 2), np.float32), *coded)
    table = data.to_ndarray()
    if (table["source"] >= 0).any():
        raise VideoError(path, f"it has motion vectors into the future: {ADVICE}")
    width, height = table["w"].astype(np.int32), table["h"].astype(np.int32)
    # FFmpeg tells the middle of the block.
    left, top = table["dst_x"] - width // 2, table["dst_y"] - height // 2
    scale = np.maximum(table["motion_scale"], 1).astype(np.float32)
    vectors = np.stack([table["motion_x"] / scale, table["motion_y"] / scale], axis=1)
    blocks = np.stack([left, top, width, height], axis=1).astype(np.int32)
    return BlockMotion(blocks, vectors.astype(np.float32), *coded)
