"""Time lines of stored videos: as of the video itself, or of a part of its time alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream.bout_model import BoutModel
from twostream.extraction import extract, extract_to_memory
from twostream.prediction import TwoStreamPredictor
from twostream.prediction.stored_timeline import stored_clip, stored_timeline
from twostream.store.clip_readers import ClipReader
from twostream.store.clips import Clip, kinds_of
from twostream.store.flow_store import StoreSettings
from twostream.types import LabeledVideo, TemporalInput, VideoError
from untrained import CLASSES, make_models, write_clip

BOUTS = BoutModel(CLASSES, *((value,) * len(CLASSES) for value in (0.2, 0.4, 1 / 7)), bouts=9)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("stored") / "clip.avi", frames=60)


@pytest.fixture(scope="module")
def aware() -> TwoStreamPredictor:
    return TwoStreamPredictor.from_models(make_models(TemporalInput(length=4)), bouts=BOUTS)


def stored(predictor: TwoStreamPredictor, video: Path) -> Clip:
    specs = [stream.spec for stream in predictor.streams.values()]
    files = extract_to_memory(video, StoreSettings.of_model(specs[0]), kinds_of(specs))
    return Clip({kind: ClipReader(file, keep=False) for kind, file in files.items()})


def test_it_is_the_time_line_of_the_video(aware: TwoStreamPredictor, video: Path) -> None:
    unaware = TwoStreamPredictor(list(aware.streams.values()))
    for predictor in (aware, unaware):
        wanted = predictor.timeline(video)
        found = stored_timeline(predictor, stored(predictor, video), video)
        np.testing.assert_array_equal(found.times, wanted.times)
        np.testing.assert_array_equal(found.scores, wanted.scores)
        assert found.segments == wanted.segments and found.seconds == wanted.seconds


def test_only_some_of_the_time_is_looked_at(aware: TwoStreamPredictor, video: Path) -> None:
    clip, told = stored(aware, video), list[float]()
    found = stored_timeline(
        aware,
        clip,
        video,
        within=((0.4, 1.0), (1.6, 9.0)),
        progress=lambda _, done, total, detail="": told.append(done / total),
    )
    assert found.pauses == ((0.0, 0.4), (1.0, 1.6))
    assert found.seconds == 2.4 and told[-1] == 1
    unseen = [(s.start_seconds, s.end_seconds) for s in found.segments if s.score is None]
    assert unseen == [(0.0, 0.4), (1.0, 1.6)]
    assert not any(1.0 < seconds < 1.6 or seconds < 0.4 for seconds in found.times)
    whole = stored_timeline(aware, clip, video)
    same = np.flatnonzero(np.isclose(whole.times, found.times[0]))[0]
    np.testing.assert_array_equal(found.streams["temporal"][0], whole.streams["temporal"][same])
    with pytest.raises(VideoError, match="no frames in the time"):
        stored_timeline(aware, clip, video, within=((5.0, 6.0),))


def test_what_a_store_keeps_is_found_while_it_is_of_this_video(
    aware: TwoStreamPredictor, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=30)
    settings = StoreSettings.of_model(aware.spec)
    kinds = kinds_of(stream.spec for stream in aware.streams.values())
    for store, quality in (("other", 50), ("own", settings.quality)):
        extract(
            [LabeledVideo("clip.avi", video, 0)],
            store=tmp_path / store,
            settings=replace(settings, quality=quality),
            kinds=kinds,
        )
    stores = [tmp_path / name for name in ("none", "other", "own")]
    clip = stored_clip(aware, stores, video)
    assert clip is not None and stored_clip(aware, stores[:2], video) is None
    found, wanted = stored_timeline(aware, clip, video), aware.timeline(video)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    write_clip(video, frames=31)
    assert stored_clip(aware, stores, video) is None


def test_what_was_imported_without_its_video_is_not_taken_for_one_of_this_name(
    aware: TwoStreamPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_clip(tmp_path / "clip.avi", frames=30)
    kinds = kinds_of(stream.spec for stream in aware.streams.values())
    with monkeypatch.context() as patched:  # as an import leaves it
        patched.setattr("twostream.extraction.many_videos.source_hash", lambda path: "")
        extract(
            [LabeledVideo("clip.avi", video, 0)],
            store=tmp_path / "store",
            settings=StoreSettings.of_model(aware.spec),
            kinds=kinds,
        )
    assert stored_clip(aware, [tmp_path / "store"], video) is None
