"""Flow images that other tools wrote -> the flow store.

Every image is decoded, taken back to pixels by the exact inverse of its code, and encoded anew in
the store's own code, which keeps a range per field: its step is never coarser than the classic one.
"""

from __future__ import annotations

import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream.flow.opencv import one_opencv_thread
from twostream.interchange.classic import decode_classic
from twostream.interchange.flow_folders import FlowVideo
from twostream.interchange.numbering import Image, read_listing
from twostream.interchange.partial_flow import partial_warning
from twostream.store.flow_store import (
    IMPORTED,
    ClipHeader,
    ClipWriter,
    FlowStore,
    Kind,
    StoreSettings,
)
from twostream.threads import StoppedError, work_through
from twostream.types import (
    DataError,
    LabeledVideo,
    Progress,
    TwoStreamError,
    VideoError,
    no_progress,
)
from twostream.video import VideoInfo, open_reader, stored_size
from twostream.video.container_claims import FALLBACK_FPS
from twostream.video.fingerprint import source_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What an import did.

    Attributes:
        videos: number of videos asked for.
        done: number of videos imported now.
        skipped: number of videos that were imported before.
        failed: name of a video -> why.
        warnings: name of a video -> what is odd about it.
        layouts: which layouts were read, and how many videos each.
        scaled: number of videos whose ranges came from files of their own.
        fields: number of fields imported now.
        seconds: wall-clock time.
    """

    videos: int
    done: int
    skipped: int
    failed: dict[str, str]
    warnings: dict[str, str]
    layouts: dict[str, int]
    scaled: int
    fields: int
    seconds: float


def import_settings(
    *,
    bound_px: float,
    codec: str = "jpeg",
    quality: int = 95,
    short_side: int | None = None,
) -> StoreSettings:
    """Return the settings of a store of imported flow; raises StoreError for impossible values."""
    StoreSettings(bound_px=bound_px)  # checks it
    return StoreSettings(
        flow=IMPORTED,
        parameters={"bound_px": float(bound_px)},
        short_side=short_side,
        codec=codec,  # type: ignore[arg-type]
        quality=quality,
    )


def import_flow(
    videos: Sequence[FlowVideo],
    *,
    store: Path | str,
    settings: StoreSettings,
    matched: dict[str, LabeledVideo] | None = None,
    fps: float | None = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> ImportSummary:
    """Import videos into a store, in parallel; what was imported before is skipped.

    A bad video is listed in the summary and never stops the others.

    Args:
        videos: what ``find_flow`` found.
        store: folder of the store; made where it is missing.
        settings: of ``import_settings``.
        matched: name of a folder -> its video in the data set, whose id and file the clip gets;
            None keeps the folders' names as ids.
        fps: frames per second of the videos; None asks the matched video files, else takes 25.
        workers: number of threads; None uses every core.
        progress: told several times a second; the detail is the number of fields and a name.

    Raises:
        StoreError: the store was made with other settings, or the disk refuses.
    """
    started = time.monotonic()
    flow_store = FlowStore.create(store, settings)
    flow_store.clean()
    job = _Job(flow_store, matched, fps)
    with one_opencv_thread():
        results, failed = work_through(
            job.run,
            {video.name: video for video in videos},
            stop=job.stop,
            failures=(TwoStreamError, OSError),
            tell=lambda ended: progress(
                "import flow", ended, len(videos), f"{job.fields} fields, {job.current}"
            ),
            workers=workers,
        )
    done = sum(fresh for fresh, _ in results.values())
    return ImportSummary(
        videos=len(videos),
        done=done,
        skipped=len(results) - done,
        failed={name: why.removeprefix(f"{name}: ") for name, why in failed.items()},
        warnings={name: warning for name, (_, warning) in sorted(results.items()) if warning},
        layouts=dict(sorted(job.layouts.items())),
        scaled=job.scaled,
        fields=job.fields,
        seconds=time.monotonic() - started,
    )


@dataclass
class _Job:
    """What the workers of one import share."""

    store: FlowStore
    matched: dict[str, LabeledVideo] | None
    fps: float | None
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    layouts: Counter[str] = field(default_factory=Counter)
    scaled: int = 0
    fields: int = 0
    current: str = ""

    def run(self, video: FlowVideo) -> tuple[bool, str | None]:
        """Return whether anything had to be imported, and the clip's warning."""
        if self.stop.is_set():
            raise StoppedError
        self.current = video.name
        listing = read_listing(video)
        with self.lock:
            self.layouts[listing.layout] += 1
            self.scaled += video.scale is not None
        known = self.matched[video.name] if self.matched is not None else None
        video_id = known.video_id if known else video.name
        fingerprint = source_hash(known.path) if known else ""
        images: dict[Kind, Sequence[tuple[Image, ...]]] = {"forward": listing.forward}
        if listing.backward:
            images["backward"] = listing.backward
        if listing.rgb:
            images["rgb"] = [(image,) for image in listing.rgb]
        seen = video.fingerprint(self.fps)
        if all(
            self.store.has(video_id, kind, fingerprint)
            and self.store.clip(video_id, kind).header.images == seen
            for kind in images
        ):
            return False, self.store.clip(video_id, "forward").header.warning
        info = _info(known)
        warning = listing.warning
        if info is not None:
            fields, step = len(listing.forward), listing.step
            part = partial_warning(fields, step=step, info=info, fps=self.fps, stop=self.stop)
            warning = part or warning
        header = partial(
            ClipHeader,
            video_id=video_id,
            fps=(self.fps or (info.fps if info else FALLBACK_FPS)) / listing.step,
            codec=self.store.settings.codec,
            quality=self.store.settings.quality,
            source_hash=fingerprint,
            source_name=f"{listing.layout}: {video.name}",
            images=seen,
        )
        with ExitStack() as opened:
            decoder = _Images(video.scale, len(listing.forward), self.store.settings)
            reader = opened.enter_context(closing(decoder))
            writers = []
            for kind, wanted in images.items():
                writers.append(self._write(kind, wanted, header, reader, opened))
            for writer in writers:
                writer.close(warning=warning)
        self._forget(video_id, seen, images)
        return True, warning

    def _forget(self, video_id: str, seen: str, images: Iterable[Kind]) -> None:
        """Take away what was imported of other images before, and is of none of these."""
        for kind in get_args(Kind):
            if kind not in images and self.store.path(video_id, kind).is_file():
                before = self.store.clip(video_id, kind).header.images
                if before and before != seen:  # what videos show themselves stays
                    self.store.path(video_id, kind).unlink()

    def _write(
        self,
        kind: Kind,
        wanted: Sequence[tuple[Image, ...]],
        header: Callable[..., ClipHeader],
        reader: _Images,
        opened: ExitStack,
    ) -> ClipWriter:
        """Write the images of a kind, at least one; ``opened`` removes what is not closed."""
        settings = self.store.settings
        for i, images in enumerate(wanted):
            if self.stop.is_set():
                raise StoppedError
            item = reader.frame(*images) if kind == "rgb" else reader.field(i, kind, *images)
            if not i:
                height, width = item.shape[:2] if kind == "rgb" else item.shape[1:]
                made = {"method": settings.flow, "parameters": settings.parameters}
                writer = self.store.writer(
                    header(kind=kind, height=height, width=width, **(made if kind != "rgb" else {}))
                )
                opened.callback(writer.abort)
            writer.append(item)
            with self.lock:
                self.fields += kind != "rgb"
        return writer


class _Images:
    """Decodes the images of one video; all of a kind must have one size."""

    def __init__(self, scale: Path | None, count: int, settings: StoreSettings) -> None:
        self._short_side = settings.short_side
        self._bound = float(settings.parameters["bound_px"])
        self._sizes: dict[str, tuple[int, int]] = {}
        self._zips: dict[Path, zipfile.ZipFile] = {}
        self._ranges = None if scale is None else _read_ranges(scale, count)

    def close(self) -> None:
        """Release the zip files."""
        for archive in self._zips.values():
            archive.close()

    def frame(self, image: Image) -> NDArray[np.uint8]:
        """Return a frame, (h, w, 3) uint8 RGB."""
        rgb = cv2.cvtColor(self._decode(image, cv2.IMREAD_COLOR, "rgb"), cv2.COLOR_BGR2RGB)
        return self._shrink(rgb)

    def field(self, i: int, kind: Kind, x: Image, y: Image) -> NDArray[np.float32]:
        """Return a field, (2, h, w) px; ``i`` counts from 0."""
        planes = []
        for k, image in enumerate((x, y)):
            codes = self._decode(image, cv2.IMREAD_GRAYSCALE, "flow")
            low, high = -self._bound, self._bound
            if self._ranges is not None and kind == "forward":
                low, high = self._ranges[i, k]
            plane = decode_classic(codes, low, high)
            shrunk = self._shrink(plane)
            axis = 1 - k  # x scales with the width, y with the height
            planes.append(shrunk * np.float32(shrunk.shape[axis] / plane.shape[axis]))
        return np.stack(planes)

    def _shrink(self, image: NDArray) -> NDArray:
        height, width = stored_size(image.shape[0], image.shape[1], self._short_side)
        if (height, width) == image.shape[:2]:
            return image
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    def _decode(self, image: Image, flags: int, what: str) -> NDArray[np.uint8]:
        path, name = image
        try:
            data = self._read(path, name)
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise DataError(f"{name} cannot be read: {error}") from error
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if picture is None:
            raise DataError(f"{name} cannot be decoded: it is damaged or no image")
        size = self._sizes.setdefault(what, picture.shape[:2])
        if picture.shape[:2] != size:
            got = f"{picture.shape[1]}x{picture.shape[0]}"
            raise DataError(f"{name} has {got} px, but those before have {size[1]}x{size[0]} px")
        return picture

    def _read(self, path: Path, name: str) -> bytes:
        if path.suffix.lower() != ".zip" or path.is_dir():
            return (path / name).read_bytes()
        if path not in self._zips:
            self._zips[path] = zipfile.ZipFile(path)
        return self._zips[path].read(name)


def _read_ranges(scale: Path, count: int) -> NDArray[np.float32]:
    """Return (count, 2, 2): low and high of x and y of every field, as gpu_flow writes them."""
    try:
        values = np.frombuffer(scale.read_bytes(), "<f4")
    except (OSError, ValueError) as error:
        raise DataError(f"{scale} cannot be read: {error}") from error
    if values.size != 4 * count:
        raise DataError(
            f"{scale.name} holds {values.size} numbers, expected four for each of the {count} "
            "fields"
        )
    ranges = values.reshape(count, 2, 2)
    if not np.isfinite(ranges).all() or (ranges[..., 1] < ranges[..., 0]).any():
        raise DataError(f"{scale.name} holds ranges that are none")
    return ranges


def _info(video: LabeledVideo | None) -> VideoInfo | None:
    """Return what a video file says about itself; None where there is none to ask."""
    if video is not None:
        with suppress(VideoError), open_reader(video.path) as reader:
            return reader.info
    return None
