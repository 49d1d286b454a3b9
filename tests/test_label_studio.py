"""Label Studio: frames, seconds and boxes; annotators and predictions; JSON and JSON-MIN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twostream.labels import Bout, Labels, Recording, read_labels, write_labels
from twostream.labels.formats import recognise
from twostream.types import DataError
from untrained import write_clip

UPLOAD = "/data/upload/3/0a1b2c3d-mouse.mp4"


def frames(first: Any, last: Any, *labels: str, **more: Any) -> dict[str, Any]:
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": list(labels)}
    facts = {"from_name": "videoLabels", "to_name": "video", "type": "timelinelabels"}
    return {"value": value, "origin": "manual"} | facts | more


def sound(start: float, end: float, *labels: str, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "channel": 0, "labels": list(labels)}
    facts = {"from_name": "labels", "to_name": "audio", "type": "labels", "original_length": 9.5}
    return {"value": value} | facts | more


def annotation(*results: dict[str, Any], by: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": 1, "completed_by": by, "result": list(results), "was_cancelled": False} | more


def task(*annotations: dict[str, Any], predictions: Any = (), **data: Any) -> dict[str, Any]:
    media = data or {"video": UPLOAD}
    said = {"annotations": list(annotations), "predictions": list(predictions)}
    return {"id": 41, **said, "data": media, "file_upload": "0a1b2c3d-mouse.mp4"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project-3.json"


def written(path: Path, *tasks: Any) -> Path:
    path.write_text(json.dumps(list(tasks)))
    return path


def test_frames_are_numbered_from_one_and_the_last_is_in(path: Path) -> None:
    written(
        path,
        task(
            annotation(
                frames(1, 1, "jump"),
                frames(11, 20, "walk", id="b", meta={"text": ["at the wall"]}),
                {"id": "b", "from_name": "how", "type": "choices", "value": {"choices": ["slow"]}},
                by={"id": 2, "email": "ann@lab.org"},
            ),
            annotation(frames(12, 20, "walk", "run"), by=7),
            annotation(frames(1, 99, "rest"), was_cancelled=True),
        ),
    )
    assert recognise(path) == "label-studio"
    labels = read_labels(path, fps=10)
    ann = "ann@lab.org"
    assert labels.recordings == (
        Recording(
            "mouse.mp4",
            (
                Bout(0, 0.1, "jump", "", ann),
                Bout(1, 2, "walk", "", ann, None, "at the wall; how: slow"),
                Bout(1.1, 2, "run", "", "7"),
                Bout(1.1, 2, "walk", "", "7"),
            ),
        ),
    )
    assert labels.notes == (f"{path}: task 41: an annotation that was skipped: left out",)


def test_the_rate_is_the_files_or_told_or_the_videos(path: Path) -> None:
    bouts = annotation(frames(51, 100, "walk"), by=None)
    boxes = {"sequence": [], "framesCount": 240, "duration": 12.0, "labels": ["mouse"]}
    shown = {"value": boxes, "type": "videorectangle", "from_name": "box", "to_name": "video"}
    written(path, task(bouts, video="mouse.mp4", fps=50))
    (recording,) = read_labels(path, fps=10).recordings
    assert recording == Recording("mouse.mp4", (Bout(1, 2, "walk"),), fps=50)
    keys = [{"frame": 1, "enabled": True, "time": 0.05}, {"frame": 20, "enabled": False}]
    boxes["sequence"] = keys
    written(path, task(annotation(frames(51, 100, "walk"), shown, by=None), video="mouse.mp4"))
    (recording,) = read_labels(path).recordings  # 240 frames in 12 s
    assert recording.bouts == (Bout(0, 1, "mouse"), Bout(2.5, 5, "walk"))
    written(path, task(bouts, video="mouse.mp4"))
    with pytest.raises(DataError, match=r"mouse.mp4 is not in .* say the rate with --fps"):
        read_labels(path)
    write_clip(path.with_name("mouse.mp4"))  # 25 frames a second
    labels = read_labels(path)
    assert labels.recordings[0].bouts == (Bout(2, 4, "walk"),)
    (note,) = labels.notes
    assert "taken are the video's 25 a second" in note and "say it with --fps" in note


def test_boxes_are_there_while_they_are_enabled(path: Path) -> None:
    keys = [(1, True), (5, True), (10, False), (21, True), (40, True)]
    sequence = [{"frame": f, "enabled": e, "x": 1, "y": 2} for f, e in keys]
    value = {"sequence": sequence, "framesCount": 50, "duration": 5.0, "labels": ["mouse"]}
    written(path, task(annotation({"value": value, "type": "videorectangle"}, by=None)))
    (recording,) = read_labels(path).recordings
    assert recording.bouts == (Bout(0, 1, "mouse"), Bout(2, 5, "mouse"))


def test_sound_is_counted_in_seconds(path: Path) -> None:
    said = {"start": 1.0, "end": 2.5, "text": ["hello", "you"]}
    words = {"id": "a", "from_name": "words", "type": "textarea", "value": said}
    characters = {"start": 3, "end": 9, "text": "squeak", "labels": ["noun"]}
    written(
        path,
        task(
            annotation(sound(1, 2.5, "call", id="a"), words, {"value": characters, "id": "c"}),
            audio="s3://lab/day 1/mouse.wav",
            words="a squeak",
        ),
    )
    labels = read_labels(path)
    (recording,) = labels.recordings
    assert recording.video == "s3://lab/day 1/mouse.wav"
    assert recording.bouts == (Bout(1, 2.5, "call", annotator="1", comment="words: hello, you"),)
    assert labels.notes == (f"{path}: task 41: a result without a time in a video: left out",)


def test_predictions_count_where_nobody_has_annotated(path: Path) -> None:
    guess = {"model_version": "m2", "score": 0.25}
    first = guess | {"result": [frames(1, 10, "walk", score=0.75), frames(11, 20, "run")]}
    written(
        path,
        task(predictions=[first], video="a.mp4", fps=10),
        task(annotation(frames(1, 20, "rest")), predictions=[first], video="b.mp4", fps=10),
        task(video="c.mp4", fps=10),
        task(annotation(), video="d.mp4", fps=10),
    )
    labels = read_labels(path)
    assert [(r.video, r.bouts, r.watched) for r in labels.recordings] == [
        ("a.mp4", (Bout(0, 1, "walk", "", "m2", 0.75), Bout(1, 2, "run", "", "m2", 0.25)), None),
        ("b.mp4", (Bout(0, 2, "rest", annotator="1"),), None),
        ("c.mp4", (), ()),
        ("d.mp4", (), None),
    ]
    assert labels.notes == (f"{path}: task 41: predictions beside an annotation: left out",)


def test_json_min_says_the_same(path: Path) -> None:
    value = {"ranges": [{"start": 11, "end": 20}], "timelinelabels": ["walk"]}
    facts = {"id": 41, "annotation_id": 5, "created_at": "2025-01-11T10:00:00Z", "lead_time": 9.5}
    written(
        path,
        {"video": UPLOAD, "videoLabels": [value], "annotator": 3, **facts},
        {"video": UPLOAD, "mood": "calm", "videoLabels": [], "annotator": 4, **facts},
        {"video": "/data/local-files/?d=day%201/b.mp4", "annotator": 4, **facts},
    )
    assert recognise(path) == "label-studio"
    first, second = read_labels(path, fps=10).recordings
    assert first == Recording("mouse.mp4", (Bout(1, 2, "walk", annotator="3"),))
    assert second == Recording("day 1/b.mp4", ())


def test_two_uploads_of_one_name_stay_two(path: Path) -> None:
    other = UPLOAD.replace("0a1b2c3d", "ffffffff")
    one, two = (task(annotation(frames(1, 10, "walk")), video=v, fps=10) for v in (UPLOAD, other))
    written(path, one, two)
    assert [r.video for r in read_labels(path).recordings] == [UPLOAD, other]


def test_odd_regions_are_notes(path: Path) -> None:
    results = [
        frames(0, 10, "walk"),
        frames(9, 3, "walk"),
        frames(None, 3, "walk"),
        frames(1.5, 3, "walk"),
        frames(5, 6),
        frames(1, 500, "walk"),
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    written(
        path, task(annotation(*results), video="a.mp4", fps=10, seconds=20), {"id": 2, "data": {}}
    )
    labels = read_labels(path)
    assert labels.recordings[0].bouts == (
        Bout(0, 1, "walk", annotator="1"),
        Bout(0, 20, "walk", annotator="1"),
    )
    assert labels.notes == (
        f"{path}: task 41, region 2: ends before it starts: left out, so its time has no label",
        f"{path}: task 41, region 3 and 1 more: a time that is no number of a frame: left out",
        f"{path}: task 41, region 5: no label: left out",
        f"{path}: task 2: it has neither a video nor sound: left out",
        f"{path}: task 41, region 6: ends after the end of the video: cut there",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"id": 1, "data": {"image": "a.jpg"}}]', "no task of it has a video or sound"),
        ("[[]]", "task 1 must be an object"),
        ('[{"data": {"video": "a"}, "annotations": [{"result": 3}]}]', "must be a list, got 3"),
        ('{"data": {"video": "a"}, "annotations": 1}', "task 1 must be a list, got 1"),
        ('[{"data": {"video": "a", "fps": -5}}]', "fps must be a number from 0.01 to 10000"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
    ],
)
def test_what_is_none_is_one_sentence(text: str, words: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(path, "label-studio", fps=10)


def test_what_is_written_is_as_label_studio_imports_it(path: Path) -> None:
    bouts = (
        Bout(0, 0.4, "walk", "Ann", "ann@lab.org", None, "slow"),
        Bout(1, 2, "run", "", "Ben"),
        Bout(1, 2, "run", "", "m2", 0.5),
    )
    labels = Labels((Recording("b/x y.mp4", bouts, 10, 25, None, "g", "val"),), ("run", "walk"))
    assert write_labels(labels, path, "label-studio") == ()
    told, guessed = json.loads(path.read_text())
    assert (
        told["data"]
        == guessed["data"]
        == {
            "video": "/data/local-files/?d=b/x%20y.mp4",
            "fps": 25,
            "seconds": 10,
            "group": "g",
            "split": "val",
        }
    )
    ben, ann = told["annotations"]
    assert "completed_by" not in ben and ann["completed_by"] == {"email": "ann@lab.org"}
    (region,) = ann["result"]
    assert region["value"] == {"ranges": [{"start": 1, "end": 10}], "timelinelabels": ["walk"]}
    assert not told["predictions"] and not guessed["annotations"]
    assert guessed["predictions"][0]["score"] == 0.5
    assert read_labels(path) == labels
