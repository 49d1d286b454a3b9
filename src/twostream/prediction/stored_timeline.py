"""The time line of a video whose frames and flow are stored: they are not computed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from twostream.datasets.time_spans import without
from twostream.extraction.frame_pairs import output_rate
from twostream.labels.recordings import Span, joined
from twostream.prediction.predictor import TwoStreamPredictor
from twostream.prediction.timeline import Timeline, Windows
from twostream.prediction.window import Window, stretch
from twostream.sampling import between_pauses
from twostream.store.clips import Clip, ClipCache, kinds_of
from twostream.store.flow_store import FlowStore, Kind, StoreSettings
from twostream.types import Progress, StoreError, VideoError, no_progress
from twostream.video.fingerprint import source_hash
from twostream.video.opening import check_size

FEATURES = "features"  # beside stores: what networks make of their videos (``video_features``)


def stored_clip(
    predictor: TwoStreamPredictor, stores: Iterable[Path], video: Path, *, video_id: str = ""
) -> Clip | None:
    """Return what one of some stores keeps of a whole video, as the run's networks see it.

    Args:
        predictor: the run.
        stores: folders; those that are none, or made otherwise, are passed over.
        video: looked for under its file's name, and taken if it is of just this content.
        video_id: it may be stored under, too.

    Raises:
        VideoError: the video cannot be read, or is smaller than the networks' crop.
    """
    wanted = StoreSettings.of_model(predictor.spec)
    kinds = kinds_of(stream.spec for stream in predictor.streams.values())
    for root in stores:
        try:
            store = FlowStore.open(root)
            wanted_here = replace(wanted, fps=store.settings.fps)
            store.check_settings(wanted_here)
            store = FlowStore(root, wanted_here)
        except StoreError:
            continue
        fingerprint, clips = source_hash(video), ClipCache(store, kinds, budget_bytes=0)
        for name in dict.fromkeys((video_id or video.name, video.name)):
            if all(_is_of(store, name, kind, fingerprint) for kind in kinds):
                rate = clips.fps(name)
                if output_rate(rate, wanted.fps) == rate:  # 29.97 and 30 are one
                    clip = clips[name]
                    check_size(video, *clip.header.seen_size, predictor.spec.smallest_side)
                    return clip
    return None


def _is_of(store: FlowStore, name: str, kind: Kind, fingerprint: str) -> bool:
    """Tell whether a clip is of a video; what was imported without its video may be of any."""
    return (
        store.has(name, kind, fingerprint)
        and store.clip(name, kind).header.source_hash == fingerprint
    )


def window_spans(
    predictor: TwoStreamPredictor, windows: Windows, pauses: Sequence[tuple[int, int]], frames: int
) -> list[tuple[int, int]]:
    """Return the frames of each window of a video, [first, end): as ``RecentClip`` has them.

    Args:
        predictor, windows: what looks, and how.
        pauses: [first, end) of the frames that are none, ascending.
        frames: of the video, those of pauses too.
    """
    length, every = map(predictor.num_frames, (windows.seconds, windows.every_seconds))
    return [
        (max(first, end - length), end)
        for first, last in between_pauses(pauses, frames)
        for end in (*range(first + length, last, every), last)
    ]


def stored_timeline(
    predictor: TwoStreamPredictor,
    clip: Clip,
    video: Path,
    *,
    within: Sequence[Span] | None = None,
    check: Callable[[], None] = lambda: None,
    progress: Progress = no_progress,
) -> Timeline:
    """Tell what happens when, as ``TwoStreamPredictor.timeline`` does of the video itself.

    Args:
        predictor: the run.
        clip: the whole video, with all that the networks see of it.
        video: what it is of.
        within: spans in seconds, ascending and apart, that are looked at; the rest counts as if
            the video had no frames there. None: all of it.
        check: called before each window; may raise.
        progress: told how many windows are done.

    Raises:
        VideoError: there is no frame within the spans.
    """
    rate, frames, pauses = clip.header.fps, clip.num_frames, tuple(clip.header.pauses)
    seconds = frames / rate
    if within is not None:
        known = [(first / rate, after / rate) for first, after in pauses]
        unseen = joined([*known, *without([(0.0, seconds)], within)])
        found = ((round(start * rate), round(end * rate)) for start, end in unseen)
        pauses = tuple((first, after) for first, after in found if first < after)
    windows = predictor.windows
    spans = window_spans(predictor, windows, pauses, frames)
    if not spans:
        raise VideoError(video, "it has no frames in the time that is looked at")

    def seen() -> Iterator[Window]:
        for start, end in spans:
            check()
            yield Window(stretch(clip, start, end), start / rate, end / rate)

    scored = []
    for done, scores in enumerate(predictor.slide(seen(), windows), start=1):
        scored.append(scores)
        progress("scores over time", done, len(spans), f"{done} of {len(spans)}")
    return Timeline.of_windows(
        video,
        scored,
        seconds=seconds,
        warning=clip.header.warning,
        pauses=[(first / rate, end / rate) for first, end in pauses],
        smooth_seconds=windows.smooth_seconds,
        threshold=predictor.threshold,
        bouts=predictor.bouts,
    )
