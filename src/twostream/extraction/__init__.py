"""Videos -> frames and flow: into the flow store, many at once, or one into memory."""

from twostream.extraction.frame_pairs import resample
from twostream.extraction.many_videos import ExtractSummary, extract
from twostream.extraction.one_video import extract_clip, extract_to_memory

__all__ = [
    "ExtractSummary",
    "extract",
    "extract_clip",
    "extract_to_memory",
    "resample",
]
