"""Score files: what is written comes back, and what is none is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twostream.scoring import load_scores, save_scores
from twostream.types import DataError, VideoScores


def some_scores() -> VideoScores:
    return VideoScores(
        video_ids=("a b/v [1].avi", "ä.mp4", "c"),
        labels=np.array([1, 0, -1]),
        classes=("jump rope", "läuft"),
        scores=np.array([[0.25, 0.75], [0, 0], [1, 0]], np.float32),
        kind="logits",
        stream="svm",
        unreadable={"ä.mp4": 'said "no"'},
    )


def test_scores_come_back(tmp_path: Path) -> None:
    path, wanted = tmp_path / "deep" / "svm-test.npz", some_scores()
    save_scores(path, wanted)
    got = load_scores(path)
    for name in ("video_ids", "classes", "kind", "stream", "unreadable"):
        assert getattr(got, name) == getattr(wanted, name)
    np.testing.assert_array_equal(got.scores, wanted.scores)
    np.testing.assert_array_equal(got.labels, wanted.labels)
    assert (got.scores.dtype, got.labels.dtype) == (np.float32, np.int64)
    assert [file.name for file in path.parent.iterdir()] == ["svm-test.npz"]


def test_scores_of_no_video_come_back(tmp_path: Path) -> None:
    none = VideoScores((), np.zeros(0, np.int64), ("a", "b"), np.zeros((0, 2), np.float32))
    save_scores(tmp_path / "none.npz", none)
    assert load_scores(tmp_path / "none.npz").video_ids == ()


def test_other_tools_read_the_score_file(tmp_path: Path) -> None:
    save_scores(tmp_path / "s.npz", some_scores())
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert {"names", "labels", "scores", "classes"} <= set(file.files)
        assert file["names"][1] == "ä.mp4"


def test_an_interrupted_write_keeps_the_old_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.npz"
    save_scores(path, some_scores())
    before = path.read_bytes()

    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_scores(path, some_scores())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_score_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no score file .*evaluate RUN"):
        load_scores(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "content", ["foreign", "text", "empty", "cut off", "pickle", "npy", "packing"]
)
def test_foreign_files_are_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scores.npz"
    if content == "foreign":
        np.savez(path, predictions=np.zeros(3))
    elif content == "cut off":
        save_scores(path, some_scores())
        path.write_bytes(path.read_bytes()[:-40])
    elif content == "pickle":
        np.savez(path, names=np.array([{"a": 1}], dtype=object))
    elif content == "packing":
        save_scores(path, some_scores())
        whole = bytearray(path.read_bytes())
        for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of entries, of the list
            at = whole.find(mark)
            while at >= 0:
                whole[at + place] = 99
                at = whole.find(mark, at + 4)
        path.write_bytes(whole)
    elif content == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_text("hello" if content == "text" else "")
    with pytest.raises(
        DataError, match=r"scores\.npz is damaged, or not a score file of twostream"
    ):
        load_scores(path)


def test_every_damaged_score_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    save_scores(
        path,
        VideoScores(
            ("a", "b"), np.array([0, 1]), ("x", "y"), np.eye(2, dtype=np.float32), stream="s"
        ),
    )
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for place in range(0, len(whole), 53):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            load_scores(path)
        except DataError as error:
            assert "delete it" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > len(damaged) / 2  # in padding and in dates a byte says nothing
    with path.open("wb") as file:
        np.save(file, np.eye(2))
    with pytest.raises(DataError, match="delete it"):
        load_scores(path)
