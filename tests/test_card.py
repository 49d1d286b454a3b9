"""The model card: read back as the Hub reads it, and true to the run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from twostream.report.card import card, without_paths, write_card
from twostream.report.measures import confidence_interval
from twostream.report.run_contents import read_run
from twostream.scoring import load_scores
from twostream.types import RunError


def front(text: str) -> dict:
    mark, head, _ = text.split("---\n", 2)
    assert mark == ""
    return yaml.safe_load(head)


def test_a_finished_run_has_its_card(tiny_run: Path) -> None:
    text = (tiny_run / "README.md").read_text()
    data = front(text)
    assert data["license"] == "unknown" and data["library_name"] == "twostream"
    assert data["pipeline_tag"] == "video-classification"
    (model,) = data["model-index"]
    accuracy = json.loads((tiny_run / "results.json").read_text())["accuracy"]
    (result,) = model["results"]
    found = [metric["value"] for metric in result["metrics"]]
    assert found == pytest.approx(list(accuracy.values()), abs=1e-4) and len(found) == 5

    scores = load_scores(tiny_run / "scores" / "average-test.npz")
    right, n = int(scores.correct().sum()), len(scores.video_ids)
    low, high = (f"{100 * each:.1f}%" for each in confidence_interval(right, n))
    assert f"| Average | {100 * right / n:.1f}% | {low} to {high} | {right} of {n} |" in text
    assert all(name in text for name in scores.classes)
    for words in ("small-bn", "`dis`", "10 (spatial)", "42 to train, 14 to test", "10 flow fields"):
        assert words in text, words
    size = (tiny_run / "spatial.safetensors").stat().st_size
    assert f"{size / 1e6:.1f} MB" in text
    assert str(tiny_run.parent) not in text  # no path of this machine


def test_how_long_and_how_much_of_a_net_was_trained_is_said(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert "`quick`: 10 (spatial) and 10 (temporal) steps of" in card(read_run(run), "name")
    path = run / "logs" / "spatial" / "history.json"
    log = json.loads(path.read_text())
    assert log["trained_share"] == 1
    path.write_text(json.dumps(log | {"trained_share": 0.6204}))
    (run / "logs" / "temporal" / "history.json").unlink()
    assert "`quick`: 10 (spatial, 62.0% of its weights) steps of" in card(read_run(run), "name")


def test_the_hub_reads_it(tiny_run: Path) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard((tiny_run / "README.md").read_text()).data
    assert data.license == "unknown" and "two-stream" in data.tags
    assert data.to_dict()["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"


def test_numbers_of_a_model_are_counted(tiny_run: Path) -> None:
    from twostream.checkpoint import load_model

    network = load_model(tiny_run / "temporal.safetensors").network
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    assert (
        f"`temporal.safetensors`: small-bn, {count / 1e6:.1f} million"
        in (tiny_run / "README.md").read_text()
    )


def test_odd_names_stay_yaml(tiny_run: Path) -> None:
    name = 'a: "b" #c é\n- d'
    data = front(card(read_run(tiny_run), name, license_id="no"))
    assert data["model-index"][0]["name"] == name and data["license"] == "no"


def test_wrong_types_in_the_settings_never_break_the_card(tiny_run: Path) -> None:
    odd = {"notes": 3, "store": "here", "versions": [1], "recipe": None, "temporal_input": 0}
    text = card(replace(read_run(tiny_run), settings=odd), "odd")
    assert (
        "Recipe `?`: 10 (spatial) and 10 (temporal) steps of ? samples" in text
        and "Data: data that is not named" in text
    )


def test_a_card_that_was_edited_stays(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("flow", "checkpoints"))
    (run / "README.md").write_text("mine")
    assert write_card(run).read_text() == "mine"
    (run / "README.md").unlink()
    assert "# run" in write_card(run).read_text()
    assert not list(run.glob(".README*"))


def test_no_scores_no_card(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no scores of test clips"):
        write_card(tmp_path)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/home/anna/clips", "clips"),
        ("from /a/b/c.avi, and /d/e", "from c.avi, and e"),
        ("either/or, 1/3, a/b/c", "either/or, 1/3, a/b/c"),
        ("(/x/y/z)", "(z)"),
    ],
)
def test_paths_are_cut_down(text: str, cut: str) -> None:
    assert without_paths(text) == cut
