"""Decoding and writing video files; the only room that imports PyAV.

``VideoReader`` streams: it never holds more than a few frames, whatever the length of the video.
"""

from twostream.video.container_claims import VideoInfo
from twostream.video.reader import VideoReader, shrink, stored_size
from twostream.video.writer import VideoWriter

__all__ = ["VideoInfo", "VideoReader", "VideoWriter", "shrink", "stored_size"]
