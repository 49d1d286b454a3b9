"""The flow store -> folders of images in the layouts that other tools read.

A video's folder appears under its name only once it is complete, and nothing that is there is ever
overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostream.files import write_text
from twostream.flow.opencv import one_opencv_thread
from twostream.foreign import is_foreign
from twostream.interchange.classic import encode_classic
from twostream.interchange.names import without_suffix
from twostream.locks import locked
from twostream.schema import parse_json
from twostream.store.coding import encode_jpeg
from twostream.store.flow_store import ClipFile, FlowStore, StoreSettings
from twostream.threads import StoppedError, work_through
from twostream.types import (
    Progress,
    StoreError,
    TwoStreamError,
    UsageError,
    no_progress,
)

INDEX_NAME = "export.json"
PARTIAL_PREFIX = ".exporting-"


@dataclass(frozen=True, slots=True)
class Layout:
    """How files are called; ``{axis}`` is x or y, ``{n}`` the number.

    Attributes:
        base: the first number.
        flow: of forward flow.
        backward: of backward flow; None where the layout has no name for it.
        rgb: of frames.
    """

    base: int
    flow: str
    backward: str | None = None
    rgb: str = "img_{n:05}.jpg"


LAYOUTS = {
    "denseflow": Layout(0, "flow_{axis}_{n:05}.jpg", "flow_{axis}_m1_{n:05}.jpg"),
    "tsn": Layout(1, "flow_{axis}_{n:05}.jpg"),
    "mmaction2": Layout(1, "{axis}_{n:05}.jpg"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What an export did.

    Attributes:
        videos: number of videos of the store that have flow.
        done: number of videos exported now.
        skipped: number of videos that were exported before.
        failed: video id -> why.
        fields: number of fields exported now.
        clipped: video id -> share of its values beyond the bound, 0 ones left out.
        clipped_share: of all values exported now.
        without_backward: number of videos whose backward flow the layout has no name for.
        seconds: wall-clock time.
    """

    videos: int
    done: int
    skipped: int
    failed: dict[str, str]
    fields: int
    clipped: dict[str, float]
    clipped_share: float
    without_backward: int
    seconds: float


def export_flow(
    store: Path | str,
    out: Path | str,
    *,
    layout: str = "denseflow",
    bound_px: float = 20.0,
    quality: int = 95,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> ExportSummary:
    """Write every video of a store as images, in parallel; what was written before is skipped.

    Args:
        store: folder of the store.
        out: folder for the videos' folders: empty, missing, or of an export like this one.
        layout: one of ``LAYOUTS``.
        bound_px: range of the classic code; larger displacements are clipped and counted.
        quality: of the JPEGs, 1 to 100.
        workers: number of threads; None uses every core.
        progress: told several times a second; the detail is the number of fields and a name.

    Raises:
        UsageError: an unknown layout or an impossible bound.
        StoreError: no store, a folder of other things, or the disk refuses.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"no layout {layout!r} to export: use one of {', '.join(LAYOUTS)}")
    StoreSettings(bound_px=bound_px, quality=quality)  # checks them
    started = time.monotonic()
    flow_store = FlowStore.open(store)
    asked = {
        "layout": layout,
        "bound_px": float(bound_px),
        "quality": quality,
        "store": asdict(flow_store.settings),
    }
    with _claimed(Path(out), asked):
        job = _Job(flow_store, Path(out), LAYOUTS[layout], float(bound_px), quality)
        clips = _folders(flow_store.root / "forward")
        with one_opencv_thread():
            results, failed = work_through(
                job.run,
                clips,
                stop=job.stop,
                failures=(TwoStreamError,),
                tell=lambda ended: progress(
                    "export flow", ended, len(clips), f"{job.fields} fields, {job.current}"
                ),
                workers=workers,
            )
    done = sum(results.values())
    return ExportSummary(
        videos=len(clips),
        done=done,
        skipped=len(results) - done,
        failed=failed,
        fields=job.fields,
        clipped=dict(sorted(job.clipped.items())),
        clipped_share=job.beyond / max(job.values, 1),
        without_backward=job.without_backward,
        seconds=time.monotonic() - started,
    )


@contextmanager
def _claimed(out: Path, asked: dict[str, Any]) -> Iterator[None]:
    """Hold a folder for one export; what a killed one left half-written is deleted.

    Raises:
        StoreError: another export is at work, the folder is of another export, or of other things.
    """
    index = out / INDEX_NAME
    if out.exists() and not index.is_file():
        if not out.is_dir():
            raise StoreError(f"{out} is a file: give a folder as --out")
        if any(not is_foreign(path.name) for path in out.iterdir()):
            raise StoreError(f"{out} is not empty and holds no export: use another --out")
    busy = "another export is writing to it, wait for it"
    with locked(out, busy, "use another --out", make=True, error=StoreError):
        if not index.is_file():
            write_text(index, json.dumps(asked, indent=2) + "\n")
        _check_same(index, asked)
        for left in out.glob(f"{PARTIAL_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _check_same(index: Path, asked: dict[str, Any]) -> None:
    try:
        before = dict(parse_json(index.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{index} cannot be read: {error}") from error
    differing = [
        f"{key} was {before.get(key)!r}, wanted {value!r}"
        for key, value in asked.items()
        if before.get(key) != value
    ]
    if differing:
        raise StoreError(
            f"{index.parent} holds an export with other settings: {'; '.join(differing)}: "
            "use another --out"
        )


@dataclass
class _Job:
    """What the workers of one export share."""

    store: FlowStore
    out: Path
    layout: Layout
    bound_px: float
    quality: int
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    fields: int = 0
    values: int = 0
    beyond: int = 0
    clipped: dict[str, float] = field(default_factory=dict)
    without_backward: int = 0
    current: str = ""

    def run(self, item: tuple[Path, str]) -> bool:
        """Write one video; returns False where it was there before."""
        path, name = item
        clip = ClipFile(path)
        video_id = self.current = clip.header.video_id
        fields = {self.layout.flow: clip}  # by how their files are called
        if (backward := self._clip(video_id, "backward")) is not None:
            if self.layout.backward is not None:
                fields[self.layout.backward] = backward
            else:
                with self.lock:
                    self.without_backward += 1
        frames = self._clip(video_id, "rgb")
        target = self.out / name
        if target.exists():
            others = {self.layout.rgb: frames} if frames is not None else {}
            self._check_there(target, path, fields | others)
            return False
        partial = self.out / f"{PARTIAL_PREFIX}{threading.get_ident()}"
        try:
            partial.mkdir()
            clipped = sum(self._write_fields(partial, *each) for each in fields.items())
            for i in range(len(frames) if frames is not None else 0):
                (rgb,) = frames.frames([i])  # type: ignore[union-attr]
                self._save(partial / self.layout.rgb.format(n=self.layout.base + i), rgb[..., ::-1])
            target.parent.mkdir(parents=True, exist_ok=True)
            made = path.stat().st_mtime_ns  # of a store whose machine's clock is ahead: later
            os.utime(partial, ns=(time.time_ns(), max(time.time_ns(), made)))
            os.rename(partial, target)  # fails where something has come to lie there
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if clipped:
            header = clip.header
            count = sum(map(len, fields.values()))
            self.clipped[video_id] = clipped / (2 * count * header.height * header.width)
        return True

    def _clip(self, video_id: str, kind: Any) -> ClipFile | None:
        there = self.store.path(video_id, kind).is_file()  # a damaged one fails, it is not absent
        return self.store.clip(video_id, kind) if there else None

    def _check_there(self, target: Path, path: Path, clips: Mapping[str, ClipFile]) -> None:
        """Raise a StoreError where a folder that is there is not this video's whole export.

        Args:
            target: the folder.
            path: of the clip of forward flow, whose images a finished export has in any case.
            clips: what the store holds by now, by how its files are called; forward flow first.
        """
        there = set(os.listdir(target)) if target.is_dir() else set()
        flow, *others = (
            [pattern.format(axis="x", n=self.layout.base + i) for i in range(len(clip) + 1)]
            for pattern, clip in clips.items()
        )
        if not there.issuperset(flow[:-1]) or flow[-1] in there:
            raise StoreError(f"{target} is there already and is not this video's export: move it")
        if target.stat().st_mtime < path.stat().st_mtime:
            raise StoreError(f"{target} is older than the store's clip: delete it to export again")
        if missing := {name for names in others for name in names[:-1]} - there:
            raise StoreError(
                f"{target} lacks {min(missing)}, which the store has by now: delete it to "
                "export again"
            )

    def _write_fields(self, folder: Path, pattern: str, clip: ClipFile) -> int:
        """Write all fields of a clip; returns how many values were clipped."""
        clipped = 0
        for i in range(len(clip)):
            codes, beyond = encode_classic(clip.fields(i, i + 1)[0], self.bound_px)
            for axis, plane in zip("xy", codes, strict=True):
                self._save(folder / pattern.format(axis=axis, n=self.layout.base + i), plane)
            clipped += int(beyond.sum())
            with self.lock:
                self.fields += 1
                self.values += beyond.size
                self.beyond += int(beyond.sum())
        return clipped

    def _save(self, path: Path, picture: NDArray[np.uint8]) -> None:
        if self.stop.is_set():
            raise StoppedError
        blob = encode_jpeg(picture, self.quality)
        try:
            path.write_bytes(blob)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error.strerror}; what is finished is kept"
            ) from error


def _folders(forward: Path) -> dict[str, tuple[Path, str]]:
    """Return the clips below a folder and the names of their videos' folders, by the clips' names.

    A clip's name is its video's id but for odd characters; the folder's has no suffix, unless two
    would be the same.
    """
    clips = {
        path.relative_to(forward).as_posix().removesuffix(".clip"): path
        for path in sorted(forward.rglob("*.clip"))
    }
    count = Counter(without_suffix(name).casefold() for name in clips)
    return {
        name: (path, stem if count[stem.casefold()] == 1 else name)
        for name, path in clips.items()
        for stem in [without_suffix(name)]
    }
