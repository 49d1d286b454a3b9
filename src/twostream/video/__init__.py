"""Decoding and writing video files; the only room that imports PyAV.

``open_reader`` streams a file (``VideoReader``) or a folder of numbered images (``FrameFolder``):
never more than a few frames at once, whatever the length of the video.
"""

from twostream.video.container_claims import VideoInfo
from twostream.video.frame_folder import FrameFolder, open_reader
from twostream.video.reader import VideoReader, shrink, stored_size
from twostream.video.writer import VideoWriter

__all__ = [
    "FrameFolder",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "open_reader",
    "shrink",
    "stored_size",
]
