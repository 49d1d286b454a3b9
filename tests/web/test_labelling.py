"""The label page over HTTP: frames, changes, and what nobody may do."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from motions import FPS, write_motions

from twostream.__main__ import run
from twostream.prediction.answering_files import answering_hash
from twostream.types import DataError
from twostream.video import VideoReader
from twostream.web.app import open_app
from twostream.web.forecasts import Forecasts, video_key
from twostream.web.labelling import Labelling, LabelPlace
from twostream.web.limits import Limits
from twostream.web.training_job import TrainingChoice, newest_run
from untrained import INPUTS, make_model, save_run

SECRET = "anna:pass"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cage")
    write_motions(folder / "day 1.avi", [(2, 3)])
    (folder.parent / "outside.avi").write_bytes((folder / "day 1.avi").read_bytes())
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / ".hidden.avi").write_bytes((folder / "day 1.avi").read_bytes())
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    runs = tmp_path_factory.mktemp("runs")
    place = LabelPlace(folder=folder, runs=runs, choice=TrainingChoice())
    labelling = Labelling(place, None, limits := Limits())
    with (
        open_app(None, "", limits=limits, labelling=labelling, auth=SECRET) as app,
        TestClient(app, base_url="http://localhost", headers={"sec-fetch-site": "same-origin"})
        as client,
    ):  # fmt: skip
        client.auth = tuple(SECRET.split(":"))  # type: ignore[assignment]
        yield client


def frames(client: TestClient, name: str, second: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    answer = client.get("/api/label/frames", params={"name": name, "second": second})
    assert answer.status_code == 200, answer.text
    (length,) = struct.unpack("<I", answer.content[:4])
    told = json.loads(answer.content[4 : 4 + length])
    at, pictures = 4 + length, []
    for size in told["sizes"]:
        data = np.frombuffer(answer.content[at : at + size], np.uint8)
        pictures.append(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
        at += size
    assert at == len(answer.content)
    return told, pictures


def test_frames_are_those_of_the_video(client: TestClient, folder: Path) -> None:
    with VideoReader(folder / "day 1.avi") as reader:
        wanted = [frame for frame in reader if 1 <= frame.pts_seconds < 2]
    told, pictures = frames(client, "day 1.avi", 1)
    assert told["times"] == [round(frame.pts_seconds, 6) for frame in wanted]
    assert (told["seconds"], told["fps"], told["after"]) == (3.04, FPS, 2.0)
    for picture, frame in zip(pictures, wanted, strict=True):
        error = np.abs(picture.astype(int) - frame.rgb)
        assert error.mean() < 10  # saturated colours, every second one of which a JPEG keeps
        others = [np.abs(picture.astype(int) - other.rgb).mean() for other in wanted]
        assert min(others) == error.mean()  # it is this frame, and no neighbour
    told, pictures = frames(client, "day 1.avi", 7)
    assert pictures == [] and told["after"] is None and told["end"] == pytest.approx(3.04)


@pytest.mark.parametrize(
    "name", ["../outside.avi", "/etc/passwd", ".hidden.avi", "labels.csv", "", "day 1.avi\0"]
)
def test_only_videos_of_the_folder_are_given(client: TestClient, name: str) -> None:
    for path in ("frames?second=0&name=", "video?name="):
        answer = client.get(f"/api/label/{path}{name.replace(chr(0), '%00')}")
        assert answer.status_code == 404 and "not in the folder" in answer.json()["error"]
    state = {"version": "x", "bouts": [], "nothing": []}
    assert client.put("/api/label/video", params={"name": name}, json=state).status_code == 404


def test_a_file_that_is_no_video_is_one_sentence(client: TestClient) -> None:
    answer = client.get("/api/label/frames?name=broken.mp4&second=0")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("broken.mp4: cannot be opened as a video")
    assert frames(client, "day 1.avi", 0)[1]  # the others are shown all the same


def test_changes_are_saved_and_conflicts_told(client: TestClient, folder: Path) -> None:
    answer = client.post("/api/label/training")
    assert answer.status_code == 422 and answer.json()["error"].startswith("label some bouts first")
    assert client.post("/api/label/classes", json={"add": " walk\n"}).json() == ["walk"]
    where = {"name": "day 1.avi"}
    before = client.get("/api/label/video", params=where).json()
    assert before["bouts"] == [] and before["state"] == "none" and before["predicted"] is None
    bout = {"start": 0.24, "end": 1.2, "label": "walk"}
    state = {"version": before["version"], "bouts": [bout], "nothing": [[1, 2]], "whole": False}
    saved = client.put("/api/label/video", params=where, json=state).json()
    assert saved["file"] == "labels.csv" and saved["nothing"] == [[1.2, 2.0]]
    assert "day 1.avi,walk,0.24,1.2" in (folder / "labels.csv").read_text().splitlines()

    again = client.put("/api/label/video", params=where, json=state | {"bouts": []})
    assert again.status_code == 409 and "labelled elsewhere" in again.json()["error"]
    assert again.json()["now"]["bouts"][0]["start"] == 0.24
    overview = client.get("/api/label").json()
    assert [each["bouts"] for each in overview["videos"]] == [0, 1]
    assert client.get("/api/label/proposals").json() == []


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"bouts": [{"start": 2, "end": 1, "label": "walk"}]}, 422, "a bout cannot last"),
        ({"bouts": [{"start": float("nan"), "end": 1, "label": "walk"}]}, 422, "start must be"),
        ({"bouts": [{"start": 0, "end": 1, "label": "fly"}]}, 422, "none of the classes"),
        ({"bouts": [{"start": "0", "end": 1, "label": "walk"}]}, 422, "start must be a number"),
        ({"bouts": [{"start": 0, "end": 1, "label": "a\nb"}]}, 422, "one line"),
        ({"nothing": [[0, 1e300]]}, 422, "nothing must be a number"),
        ({"bouts": 3}, 422, "bouts must be a list"),
        ({"nothing": [[0, 1]] * 20_001}, 413, "up to 20000"),
        ({"version": None}, 422, "version"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_label_changes_nothing(
    client: TestClient, folder: Path, changes: dict[str, Any], status: int, words: str
) -> None:
    before = (folder / "labels.csv").read_bytes()
    version = client.get("/api/label/video?name=day 1.avi").json()["version"]
    state = {"version": version, "bouts": [], "nothing": [], "whole": False} | changes
    kind = {"content-type": "application/json"}
    answer = client.put("/api/label/video?name=day 1.avi", content=json.dumps(state), headers=kind)
    assert answer.status_code == status and words in answer.json()["error"]
    assert (folder / "labels.csv").read_bytes() == before


def test_strangers_change_nothing(client: TestClient, folder: Path) -> None:
    before = (folder / "labels.csv").read_bytes()
    text = '{"add": "x"}'
    json_kind = {"content-type": "application/json"}
    for headers, status in (
        ({"content-type": "text/plain"}, 415),  # all that another site's form can send
        (json_kind | {"origin": "http://evil.org"}, 403),
        (json_kind | {"sec-fetch-site": "cross-site"}, 403),
        (json_kind | {"host": "evil.org"}, 403),
    ):
        answer = client.post("/api/label/classes", content=text, headers=headers)
        assert answer.status_code == status
        headers.pop("content-type")
        assert (
            status == 415 or client.post("/api/label/training", headers=headers).status_code == 403
        )
    for path in ("/api/label", "/api/label/frames?name=day 1.avi&second=0", "/label.html"):
        assert client.get(path, auth=("anna", "guess")).status_code == 401
    assert (folder / "labels.csv").read_bytes() == before


def test_where_there_is_no_run_the_page_is_that_of_labels(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert answer.status_code == 307 and answer.headers["location"] == "label.html"
    assert client.get("/api/model").status_code == 409


def test_labelling_at_an_open_address_needs_a_password(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["serve", "--label", str(folder), "--runs", str(tmp_path / "runs"), "--port", "0"]
    assert run([*asked, "--host", "0.0.0.0"]) == 2
    assert "--label writes files" in capsys.readouterr().err
    assert run(["serve"]) == 2 and "name a RUN to serve" in capsys.readouterr().err
    assert run(["serve", "x", "--runs", "y"]) == 2
    assert "--runs goes with --label" in capsys.readouterr().err


def test_the_newest_finished_run_is_used(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "none") is None
    for name in ("run-2", "run-10", "run-11", "run-x"):
        (tmp_path / name).mkdir()
    for name in ("run-2", "run-10", "run-x"):
        (tmp_path / name / "results.json").write_text("{}")
    assert newest_run(tmp_path) == tmp_path / "run-10"


@pytest.mark.slow
def test_time_lines_are_made_once_for_a_run_and_a_video(
    web_run: Path, clip: Path, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.mp4"
    lost.write_bytes(b"no video")
    videos, written = {"clip": clip, "lost": lost}, []
    for again in (False, True):
        forecasts = Forecasts(tmp_path / "kept", tmp_path, lambda: videos, "cpu")
        assert forecasts.of("clip", clip)[0] == "none"
        forecasts.use(web_run)
        end = time.monotonic() + 120
        while forecasts.of("clip", clip)[0] not in ("ready", "failed"):
            assert time.monotonic() < end
            time.sleep(0.05)
        state, found, _ = forecasts.of("clip", clip)
        assert state == "ready" and found is not None and not isinstance(found, str)
        kept = tmp_path / "kept" / f"{answering_hash(web_run)}-{video_key(clip)}.json"
        told = json.loads(kept.read_text())
        assert found.classes == tuple(told["classes"]) and len(found.times) == len(found.scores)
        assert list(found.bouts) == told["bouts"]
        if not again:
            while forecasts.of("lost", lost)[0] not in ("ready", "failed"):
                time.sleep(0.05)
            assert "cannot be opened as a video" in str(forecasts.of("lost", lost)[1])
        written.append(kept.stat().st_mtime_ns)
        forecasts.close()
    assert written[0] == written[1]


def test_a_run_is_another_when_anything_that_it_answers_with_is(tmp_path: Path) -> None:
    found = set[str]()
    for name in ("spatial.safetensors", "fusion.json", "bouts.json"):
        (tmp_path / name).write_text("one")
        found.add(answering_hash(tmp_path))
    (tmp_path / "results.json").write_text("of no matter")
    assert len(found) == 3 and answering_hash(tmp_path) in found


@pytest.mark.slow
def test_an_update_answers_with_the_new_labels(tmp_path: Path) -> None:
    """Networks that nobody trained, of other classes, stay: what is learnt is their last layers."""
    folder, runs = tmp_path / "cage", tmp_path / "runs"
    folder.mkdir()
    rows = ["path,label,start,end"]
    for seed, name in enumerate(("day1.avi", "day2.avi")):
        write_motions(folder / name, [(3, 2), (-3, 2), (3, 2), (-3, 2)], seed)
        rows += [
            f"{name},{'right' if i % 2 == 0 else 'left'},{2 * i},{2 * i + 2}" for i in range(4)
        ]
    (folder / "labels.csv").write_text("\n".join(rows))
    write_motions(folder / "day3.avi", [(-3, 5), (3, 5)], 5)
    made = {"fps": FPS, "flips": False}
    models = [make_model(None, **made), make_model(INPUTS["stack"], **made)]
    place = LabelPlace(folder=folder, runs=runs, choice=TrainingChoice(recipe="quick"))
    labelling = Labelling(place, save_run(tmp_path / "base", models), limits := Limits())
    with (
        open_app(None, "", limits=limits, labelling=labelling) as app,
        TestClient(app, base_url="http://localhost", headers={"sec-fetch-site": "same-origin"})
        as client,
    ):  # fmt: skip
        assert client.post("/api/label/update").json()["state"] == "running"
        overview = wait_for(client, lambda told: told["training"]["state"] != "running")
        assert overview["training"]["state"] == "done", overview["training"]
        assert (
            "stretches right whose videos its last layers had not seen"
            in (overview["training"]["said"])
        )
        overview = wait_for(
            client, lambda told: all(each["state"] == "ready" for each in told["videos"])
        )
        assert overview["run"] == "run-1" and newest_run(runs) == runs / "run-1"
        found = client.get("/api/label/video", params={"name": "day3.avi"}).json()
        assert [each["label"] for each in found["predicted"]["bouts"]] == ["left", "right"]
        kept = sorted((runs / "features").iterdir())
        assert len(kept) == 3
        before = [path.stat().st_mtime_ns for path in kept]
        # again: from the run that the first update made, whose networks are the same
        client.post("/api/label/update")
        overview = wait_for(client, lambda told: told["training"]["state"] == "done")
        assert overview["run"] == "run-2"
        assert [path.stat().st_mtime_ns for path in sorted((runs / "features").iterdir())] == before


def wait_for(client: TestClient, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return what is told of all videos once that is found in it."""
    end = time.monotonic() + 120
    while not found(told := client.get("/api/label").json()):
        assert time.monotonic() < end, json.dumps(told)
        time.sleep(0.05)
    return dict(told)


def test_a_second_training_is_refused(folder: Path, tmp_path: Path) -> None:
    place = LabelPlace(folder=folder, runs=tmp_path / "runs", choice=TrainingChoice())
    labelling = Labelling(place, None, Limits())
    try:
        labelling.training.start()
        with pytest.raises(DataError, match="a training is under way"):
            labelling.training.start()
        labelling.training.stop()
        end = time.monotonic() + 60
        while labelling.training.state.state == "stopping" and time.monotonic() < end:
            time.sleep(0.05)
        assert labelling.training.state.state == "stopped"
    finally:
        labelling.close()
    assert not (tmp_path / "runs" / "run-1").exists()
