"""The verb on two label files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from twostream.__main__ import run

HEADER = "path,label,start,end,seconds\n"


def test_two_label_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true, predicted, budget = (tmp_path / name for name in ("a.csv", "b.csv", "out/budget.csv"))
    true.write_text(HEADER + "one.mp4,walk,0,4,10\ntwo.mp4,walk,1,3,10\nlost.mp4,walk,0,1,10\n")
    predicted.write_text(HEADER + "clips/one.avi,walk,0,5,10\nclips/two.avi,walk,1,3,10\n")
    assert run(["agreement", str(true), str(predicted), "--csv", str(budget), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    # 6 s right, 1 s wrong
    assert found["overall"]["f1"]["value"] == pytest.approx(12 / 13)
    assert found["recordings"] == ["one.mp4", "two.mp4"]
    assert "not compared, in TRUE alone: 1 recording, lost.mp4" in said.err
    assert "0.923" in said.err and "NaN" not in said.out
    rows = list(csv.DictReader(budget.read_text().splitlines()))
    assert [row["video"] for row in rows] == ["one.mp4", "two.mp4", "(all)"]
    assert (float(rows[2]["true_share"]), float(rows[2]["predicted_share"])) == (0.3, 0.35)


def test_a_folder_of_files_that_name_no_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("one", "two"):
        (tmp_path / "folder" / f"{name}.txt").write_text("0.0\t2.0\twalk\n")
    (tmp_path / "two.txt").write_text("0.0\t1.0\twalk\n")
    arguments = ["agreement", str(tmp_path / "folder"), str(tmp_path / "two.txt"), "--json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recordings"] == ["two"]
    assert found["overall"]["recall"]["value"] == 0.5
    assert run([*arguments, "--from", "a,b,c"]) == 2
    assert "two with a comma" in " ".join(capsys.readouterr().err.split())
    assert run([*arguments, "--from", "audacity,csv"]) == 1


def test_two_annotators_of_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "both.csv"
    head = HEADER.replace("\n", ",annotator,subject\n")
    one = "one.mp4,walk,0,4,10,ann,dog\none.mp4,walk,0,2,10,ben,dog\none.mp4,walk,6,9,10,ann,cat\n"
    path.write_text(head + one + "two.mp4,walk,0,1,10,ann,dog\n")
    arguments = ["agreement", str(path), str(path), "--json"]
    assert run([*arguments, "--annotators", "ann,ben", "--subject", "dog"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["overall"]["recall"]["value"] == 0.5
    assert "in TRUE alone: 1 recording, two.mp4" in said.err
    assert "annotators are compared together" not in said.err
    assert run([*arguments, "--annotators", "ann,eve"]) == 1
    assert "no bout of the annotator eve; it has ann, ben" in capsys.readouterr().err
    assert run(arguments) == 0
    assert "the bouts of 2 annotators are compared together" in capsys.readouterr().err


def test_a_table_never_replaces_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hand.csv"
    path.write_text(labels := "path,label,start,end\na.mp4,walk,0,1\n")
    command = ["agreement", str(path), str(path), "--csv"]
    assert run([*command, str(path)]) == 2
    assert "holds labels: name another file with --csv" in capsys.readouterr().err
    assert path.read_text() == labels
    for _ in range(2):  # a table of before is replaced
        assert run([*command, str(tmp_path / "budget.csv")]) == 0
