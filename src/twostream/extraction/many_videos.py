"""Extraction: every video is decoded once, and its frames and flow go into the flow store.

Clips are computed in parallel, one clip and one flow estimator per thread (decoding, solvers and
compression release Python's lock); threads that find no clip compute pairs of those that are left.
The results do not depend on the number of workers, and memory not on the length of a video.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from twostream.cluster import GPU_SHARE, check_seen, joined, spread
from twostream.extraction.frame_pairs import directions_of
from twostream.extraction.idle_threads import Helpers
from twostream.extraction.one_video import extract_clip
from twostream.extraction.pauses import all_warnings
from twostream.flow.device import choose_device, cuda_is_there, make_on_device
from twostream.flow.opencv import one_opencv_thread
from twostream.labels.stretch_ids import stored_id
from twostream.shards import Shard
from twostream.store.flow_store import SETTINGS_NAME, FlowStore, Kind, StoreSettings
from twostream.threads import (
    StoppedError,
    ask_disk,
    keep_memory,
    num_cores,
    sentence,
    work_through,
)
from twostream.types import LabeledVideo, Progress, StoreError, UsageError, VideoError, no_progress
from twostream.video.fingerprint import size_on_disk, source_hash

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractSummary:
    """What an extraction did.

    Attributes:
        videos: number of videos asked for.
        done: number of videos extracted now.
        skipped: number of videos that were finished and valid before.
        failed: video id -> why.
        warnings: video id -> what is odd about it (it broke off, has pauses), done or skipped.
        pairs: number of pairs of frames whose flow was computed.
        seconds: wall-clock time.
        device: where the flow was computed: "cpu", "cuda", or "auto" where the method chooses.
    """

    videos: int
    done: int
    skipped: int
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    pairs: int = 0
    seconds: float = 0.0
    device: str = "cpu"

    @property
    def pairs_per_second(self) -> float:
        """Return the rate of flow computation; 0 when nothing was computed."""
        return self.pairs / self.seconds if self.seconds > 0 else 0.0


class _Job:
    """What the workers of one extraction share."""

    def __init__(
        self,
        videos: Sequence[LabeledVideo],
        store: FlowStore,
        kinds: Sequence[Kind],
        helpers: Helpers,
    ) -> None:
        keep_memory()
        paths = {video.video_id: video.path for video in videos}
        self.sizes = ask_disk(lambda video_id: _file_size(paths[video_id]), list(paths))
        self._waiting = sum(self.sizes.values())  # bytes of videos that have not ended
        self._extracted = 0  # bytes of those that have, without those that were there before
        self._running: dict[str, float] = {}  # bytes done of those that are worked on
        self.store = store
        self.kinds = tuple(dict.fromkeys(kinds))
        self.helpers = helpers
        self.stop = threading.Event()
        self.pairs = 0
        self.current = ""
        self._lock = threading.Lock()
        self._told_replaced = False

    def _replaces(self, video_id: str, kind: Kind, fingerprint: str) -> bool:
        """Tell whether a clip of another file lies there.

        Not one that another process has made of this file since it was missed.
        """
        there = self.store.has(video_id, kind)
        return there and not self.store.has(video_id, kind, fingerprint)

    def _tell_replaced(self, video_id: str) -> None:
        """Say once that clips were made from other files: changed, or of another data set."""
        with self._lock:
            told, self._told_replaced = self._told_replaced, True
        if not told:
            logger.warning(
                f"{video_id}: what {self.store.root} held under this name was made from another "
                "file, and is made again, as is every such video: data sets whose videos have "
                "equal names each need a --store of their own"
            )

    def on_frame(self, video_id: str, pairs: int, share: float, _seconds: float) -> None:
        if self.stop.is_set():
            raise StoppedError
        with self._lock:
            self.pairs += pairs
            self._running[video_id] = share * self.sizes[video_id]

    def detail(self, elapsed: float, over: bool) -> str:
        """Return rate, time left and a video; it takes time by its bytes, if it is not there."""
        with self._lock:
            running = sum(self._running.values())
            done, left = self._extracted + running, self._waiting - running
        rest = "" if over or not done else f"{duration(elapsed * left / done)} left, "
        return f"{self.pairs / max(elapsed, 1e-6):.0f} pairs/s, {rest}{self.current}"

    def run(self, video: LabeledVideo) -> tuple[bool, str | None]:
        """Return whether anything had to be extracted, and the clip's warning."""
        if self.stop.is_set():
            raise StoppedError
        fresh = True
        try:
            fresh, warning = self._run(video)
        finally:
            self.helpers.clip_ended()
            self.ended(video.video_id, fresh)
        return fresh, warning

    def ended(self, video_id: str, fresh: bool, pairs: int = 0) -> None:
        """Count a video that has ended, and pairs of it that were computed elsewhere."""
        with self._lock:
            self.pairs += pairs
            self.current = video_id if pairs else self.current
            self._running.pop(video_id, None)
            self._waiting -= self.sizes[video_id]
            self._extracted += fresh * self.sizes[video_id]

    def _run(self, video: LabeledVideo) -> tuple[bool, str | None]:
        self.current = video.video_id
        fingerprint = source_hash(video.path)
        clips = [self.store.valid(video.video_id, kind, fingerprint) for kind in self.kinds]
        missing = [kind for kind, clip in zip(self.kinds, clips, strict=True) if clip is None]
        if self.store.settings.imported and any(kind != "rgb" for kind in missing):
            raise StoreError(
                "its imported flow is missing, damaged or of another version of this file, and "
                "such flow cannot be computed: run twostream import-flow for it"
            )
        # imported flow has warnings of its own beside those of the video's frames
        stored = [clip.header.warning for clip in clips if clip is not None]
        if not missing:
            return False, all_warnings(*stored)
        if any(self.store.damaged(video.video_id, kind) for kind in missing):
            logger.warning(f"{video.video_id}: what was stored of it is damaged, and is made again")
        elif any(self._replaces(video.video_id, kind, fingerprint) for kind in missing):
            self._tell_replaced(video.video_id)
        warning = extract_clip(
            video.path,
            self.store.settings,
            missing,
            open_writer=self.store.writer,
            helpers=self.helpers,
            video_id=video.video_id,
            fingerprint=fingerprint,
            on_frame=partial(self.on_frame, video.video_id),
        )
        return True, all_warnings(*stored, warning)


def extract(
    videos: Sequence[LabeledVideo],
    *,
    store: Path | str,
    settings: StoreSettings,
    kinds: Sequence[Kind] = ("rgb", "forward"),
    workers: int | None = None,
    device: str = "auto",
    shard: Shard | None = None,
    cluster: str | None = None,
    progress: Progress = no_progress,
) -> ExtractSummary:
    """Extract videos into a store, in parallel; what is finished and valid is skipped.

    A video that cannot be decoded is listed in the summary and never stops the run. A run that
    was killed is continued by the same call. Several processes may fill one store at once.

    Args:
        videos: what each id stands for is one file; of a stretch (``store.spans``) the whole one.
        store: folder of the store; made where it is missing.
        settings: what all clips of the store are made with.
        kinds: any of "rgb", "forward", "backward"; more may be added by a later call.
        workers: number of threads; None uses every core.
        device: where the flow is computed: "cpu", "cuda", or "auto" (see ``choose_device``).
        shard: the part of the videos, in the order of their ids, that is extracted; None: all.
        cluster: a Ray cluster that does it (``cluster.joined``), a video a core; None: threads.
        progress: called in the calling thread, several times a second and after each video; done
            and total are videos, the detail tells the rate, the time left by the share of the
            files' bytes that is done, and a video that is worked on.

    Raises:
        StoreError: the store was made with other settings, or the disk refuses; finished clips
            are kept.
        UsageError: the device is not here, or does not compute this flow; the cluster cannot be
            used.
    """
    if cluster is not None and (workers is not None or shard is not None):
        raise UsageError(
            f"--{'shard' if workers is None else 'workers'} is for machines that do it without a "
            "cluster: leave it or --cluster out"
        )
    started = time.monotonic()
    threads, unique = workers or num_cores(), _unique(videos)
    if shard is not None:
        unique = shard.of(sorted(unique, key=lambda video: video.video_id))
    if directions_of(kinds) and unique and not settings.imported:
        device = choose_device(device, settings.flow, settings.parameters, threads=threads)
    # a cluster that does not answer leaves no store behind
    with ExitStack() as open_things:
        if cluster is not None:
            open_things.enter_context(joined(cluster))
        flow_store = FlowStore.create(store, settings)
        flow_store.clean()
        settings = flow_store.settings
        make = partial(make_on_device, settings.flow, settings.parameters, device)
        helpers = Helpers(make, threads=threads, clips=len(unique))
        job = _Job(unique, flow_store, kinds, helpers)
        # The longest first: no worker is left alone with a long clip at the end.
        order = sorted(unique, key=lambda video: -job.sizes[video.video_id])

        def tell(ended: int) -> None:
            detail = job.detail(time.monotonic() - started, ended == len(unique))
            progress("extract flow", ended, len(unique), detail)

        open_things.enter_context(one_opencv_thread())
        open_things.enter_context(closing(helpers))
        if cluster is not None:
            results, failed = _over_cluster(job, order, device, tell)
        else:
            results, failed = work_through(
                job.run,
                {video.video_id: video for video in order},
                stop=job.stop,
                reason=_reason,
                tell=tell,
                workers=threads,
            )
    done = sum(fresh for fresh, _ in results.values())
    return ExtractSummary(
        videos=len(unique),
        done=done,
        skipped=len(results) - done,
        failed=failed,
        warnings={name: warning for name, (_, warning) in sorted(results.items()) if warning},
        pairs=job.pairs,
        seconds=time.monotonic() - started,
        device=device,
    )


def _over_cluster(
    job: _Job,
    order: Sequence[LabeledVideo],
    device: str,
    tell: Callable[[int], object],
) -> tuple[dict[str, tuple[bool, str | None]], dict[str, str]]:
    """Do what ``work_through`` does with the job, on the cluster that is joined."""
    results: dict[str, tuple[bool, str | None]] = {}
    failed: dict[str, str] = {}
    there = ((video.video_id, (video, job.sizes[video.video_id] > 0)) for video in order)
    on_gpu = device != "cpu" and cuda_is_there()
    work = partial(_extract_there, job.store, job.kinds, device if on_gpu else "cpu")
    with closing(spread(work, there, gpus=GPU_SHARE * on_gpu, reason=_reason)) as ends:
        for ended in ends:
            for each in ended:
                fresh, warning, pairs = each.result or (True, None, 0)
                job.ended(each.name, fresh, pairs)
                if each.failed is None:
                    results[each.name] = fresh, warning
                else:
                    failed[each.name] = each.failed
            tell(len(results) + len(failed))
    job.store.clean()  # what processes left that died
    return results, dict(sorted(failed.items()))


def _extract_there(
    known: FlowStore, kinds: Sequence[Kind], device: str, given: tuple[LabeledVideo, bool]
) -> tuple[bool, str | None, int]:
    """Extract a video in a process of a cluster; return what ``_Job.run`` does, and its pairs.

    Args:
        known: the store, as it was asked for.
        kinds: as of ``extract``.
        device: that ``choose_device`` returned.
        given: the video, and whether it lies there where the cluster was asked.
    """
    video, is_there = given
    check_seen(known.root / SETTINGS_NAME, *([video.path] if is_there else []))
    store = FlowStore.create(known.root, known.settings)
    estimator = store.settings.flow, tuple(store.settings.parameters.items())
    job = _Job([video], store, kinds, _helpers(*estimator, device))
    with one_opencv_thread():
        fresh, warning = job.run(video)
    return fresh, warning, job.pairs


@cache
def _helpers(flow: str, parameters: tuple[tuple[str, int | float], ...], device: str) -> Helpers:
    """Return the estimator of this process of a cluster, which no thread helps."""
    make = partial(make_on_device, flow, dict(parameters), device)
    return Helpers(make, threads=1, clips=sys.maxsize)


def _reason(error: Exception, name: str = "") -> str:
    return error.cause if isinstance(error, VideoError) else sentence(error)


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds.

    >>> duration(75), duration(7384)
    ('1:15', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _unique(videos: Sequence[LabeledVideo]) -> list[LabeledVideo]:
    by_id: dict[str, LabeledVideo] = {}
    for stretch in videos:
        video = replace(stretch, video_id=stored_id(stretch.video_id))
        known = by_id.setdefault(video.video_id, video)
        if known.path != video.path:
            raise StoreError(
                f"the video id {video.video_id} stands for two files, {known.path} and "
                f"{video.path}: give each its own"
            )
    return list(by_id.values())


def _file_size(path: Path) -> int:
    try:
        return size_on_disk(path)
    except VideoError:
        return 0  # the worker that opens it says why
