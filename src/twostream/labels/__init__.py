"""Labels in time and the files that people keep them in; nothing of it needs torch."""

from twostream.labels.formats import FORMATS, read_labels, write_labels
from twostream.labels.holds import Holds, kept, lost
from twostream.labels.recordings import Bout, Labels, Recording

__all__ = [
    "FORMATS",
    "Bout",
    "Holds",
    "Labels",
    "Recording",
    "kept",
    "lost",
    "read_labels",
    "write_labels",
]
