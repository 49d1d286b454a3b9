"""Data sets on disk -> `Dataset` -> `DatasetSplit`; nothing is decoded here."""

from twostream.datasets.asked import AskedData
from twostream.datasets.dataset import (
    RECORDINGS,
    Dataset,
    GivenSplit,
    SplitChoice,
    groups_on_both_sides,
    relabeled,
)
from twostream.datasets.frame_folders import NOTED, is_one_video, videos_below
from twostream.datasets.image_folders import ImageSplit, LabeledImages, load_images
from twostream.datasets.labelled_recordings import labels_in
from twostream.datasets.lists import Missing
from twostream.datasets.loading import READING, load_dataset
from twostream.datasets.shared_videos import of_equal_size, refuse_shared_videos, shared_videos
from twostream.datasets.tested_recordings import (
    RecordingsUnderTest,
    known_alone,
    recordings_under_test,
)
from twostream.datasets.video_folders import unlabeled_videos

__all__ = [
    "NOTED",
    "READING",
    "RECORDINGS",
    "AskedData",
    "Dataset",
    "GivenSplit",
    "ImageSplit",
    "LabeledImages",
    "Missing",
    "RecordingsUnderTest",
    "SplitChoice",
    "groups_on_both_sides",
    "is_one_video",
    "known_alone",
    "labels_in",
    "load_dataset",
    "load_images",
    "of_equal_size",
    "recordings_under_test",
    "refuse_shared_videos",
    "relabeled",
    "shared_videos",
    "unlabeled_videos",
    "videos_below",
]
