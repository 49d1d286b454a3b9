"""Several data sets: whose loss reaches what, batches, heads, added classes, the overlap list."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from twostream.checkpoint import StreamModel, load_model
from twostream.loader import TrainingBatches
from twostream.multitask import JoinedClips, cut_head, join, read_overlap
from twostream.prediction import TwoStreamPredictor
from twostream.recipes import make_recipe
from twostream.run import RunSettings, train_run
from twostream.scoring import load_scores
from twostream.store.clips import Clip
from twostream.training import check_batch, multitask_loss, own_head
from twostream.types import DataError, DatasetSplit, LabeledVideo, TemporalInput, UsageError
from untrained import make_spec


def split_of(name: str, classes: tuple[str, ...], per_class: int = 4) -> DatasetSplit:
    videos = tuple(
        LabeledVideo(f"{cls}/{i}.avi", Path(f"{cls}/{i}.avi"), label)
        for label, cls in enumerate(classes)
        for i in range(per_class)
    )
    return DatasetSplit(name, "whole", classes, videos, ())


class Reader:
    """A file of fields that all move by the same number of pixels."""

    header = SimpleNamespace(pauses=())

    def __init__(self, motion_px: float) -> None:
        self.motion_px = motion_px

    def __len__(self) -> int:
        return 12

    def fields(self, indices: list[int]) -> np.ndarray:
        return np.full((len(indices), 2, 8, 8), self.motion_px, np.float32)


class Clips(dict):
    """A cache whose clips remember what was asked for; their motion is given."""

    def __init__(self, motion_px: float = 1.0) -> None:
        super().__init__()
        self.motion_px = motion_px
        self.asked: list[str] = []

    def __missing__(self, key: str) -> Clip:
        self.asked.append(key)
        return Clip({"forward": Reader(self.motion_px)})  # type: ignore[arg-type]


SEES = TemporalInput(length=2, subtract_mean=False)


def test_the_loss_is_the_sum_of_each_heads_own_softmax() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 5)
    labels = torch.tensor([0, 2, 1, 3, 4, 4])  # heads of 3 and 2 classes
    loss = multitask_loss(own_head(logits, labels, (3, 2)), labels, (3, 2))
    first = nn.functional.cross_entropy(logits[:3, :3], labels[:3])
    second = nn.functional.cross_entropy(logits[3:, 3:], labels[3:] - 3)
    torch.testing.assert_close(loss, first + second)


def test_a_sample_reaches_its_own_head_only() -> None:
    layer = nn.Linear(4, 5)
    labels = torch.tensor([0, 2, 1])  # all of the first data set
    logits = own_head(layer(torch.randn(3, 4)), labels, (3, 2))
    multitask_loss(logits, labels, (3, 2)).backward()
    assert layer.weight.grad is not None
    assert torch.all(layer.weight.grad[:3].abs().sum(dim=1) > 0)
    assert torch.equal(layer.weight.grad[3:], torch.zeros(2, 4))


def test_one_head_is_ordinary_training() -> None:
    logits, labels = torch.randn(8, 3), torch.randint(3, (8,))
    loss = multitask_loss(own_head(logits, labels, (3,)), labels, (3,))
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, labels))


def joined_batches(batch_size: int = 30, **changes: object) -> TrainingBatches:
    big, small = split_of("big", tuple("abcdef"), 40), split_of("small", ("x", "y"), 3)
    joined = join([(big, Clips()), (small, Clips())], "multitask", temporal=SEES)  # type: ignore[list-item]
    values: dict = {
        "clips": joined.clips,
        "videos": joined.split.train,
        "temporal": None,
        "seed": 3,
        "steps": 5,
        "batch_size": batch_size,
        "crop_size": 8,
        "flips": True,
        "lighting": 0.0,
        "heads": joined.heads,
    }
    return TrainingBatches(**{**values, **changes})


def test_each_data_set_gives_its_share_of_every_batch_whatever_its_size() -> None:
    data = joined_batches()
    counts: Counter[int] = Counter()
    for step in range(200):
        labels = data.labels[data.rows(step)]
        assert (labels < 6).sum() == 15 and (labels >= 6).sum() == 15
        counts.update(labels.tolist())
    assert set(counts) == set(range(8))
    # uniform within each set: 500 of each of six classes, 1500 of each of two
    assert all(abs(counts[i] - 500) < 100 for i in range(6))
    assert all(abs(counts[i] - 1500) < 150 for i in (6, 7))


def test_every_device_gets_the_same_share_of_each_data_set() -> None:
    data = joined_batches(batch_size=16)
    rows = data.rows(0)
    for rank in (0, 1):
        labels = data.labels[rows[rank::2]]
        assert (labels < 6).sum() == 4 and (labels >= 6).sum() == 4
    with pytest.raises(UsageError, match="over 2 data sets and 4 devices: use --batch-size 24"):
        check_batch(joined_batches(batch_size=30).shares, 4)


def test_clips_are_found_in_their_own_store_even_under_the_same_id() -> None:
    first, second = Clips(), Clips()
    clips = JoinedClips([first, second], [1, 1])  # type: ignore[list-item]
    _ = clips["0/a/1.avi"], clips["1/b/1.avi"]
    assert (first.asked, second.asked) == (["a/1.avi"], ["b/1.avi"])


def test_flow_of_every_set_comes_at_the_scale_of_the_first() -> None:
    slow, fast = (
        (split_of("slow", ("a", "b")), Clips(0.5)),
        (split_of("fast", ("c", "d")), Clips(4)),
    )
    joined = join([slow, fast], "multitask", temporal=SEES)  # type: ignore[list-item]
    assert joined.clips.flow_scales == pytest.approx((1, 1 / 8))
    for video in joined.split.train:
        assert np.allclose(joined.clips[video.video_id].stack(SEES, 0), 0.5)
    # RGB has no scale
    frames = TemporalInput(length=2, rgb=True)
    assert join([slow, fast], "multitask", temporal=frames).clips.flow_scales == (1, 1)  # type: ignore[list-item]


def test_added_classes_leave_the_overlapping_ones_out() -> None:
    own = split_of("hmdb", ("ride_bike", "golf"))
    other = split_of("ucf", ("Biking", "Archery", "Golf"))
    overlap = frozenset({("ride_bike", "Biking"), ("golf", "Golf")})
    joined = join([(own, Clips()), (other, Clips())], "added", overlap, temporal=SEES)  # type: ignore[list-item]
    assert joined.split.classes == ("hmdb/ride_bike", "hmdb/golf", "ucf/Archery")
    assert joined.heads is None
    by_label = Counter(video.label for video in joined.split.train)
    assert by_label == {0: 4, 1: 4, 2: 4}
    assert {v.video_id for v in joined.split.train if v.label == 2} == {
        f"1/Archery/{i}.avi" for i in range(4)
    }
    # without a list the same name is the same class
    joined = join([(own, Clips()), (other, Clips())], "added", temporal=SEES)  # type: ignore[list-item]
    assert joined.split.classes[2:] == ("ucf/Biking", "ucf/Archery")
    with pytest.raises(DataError, match="every class of b overlaps"):
        join(
            [(split_of("a", ("x", "y")), Clips()), (split_of("b", ("X", "Y")), Clips())],
            "added",
            temporal=SEES,
        )  # type: ignore[list-item]
    with pytest.raises(DataError, match="names Golfing, which ucf does not have"):
        join(
            [(own, Clips()), (other, Clips())],  # type: ignore[list-item]
            "added",
            frozenset({("golf", "Golfing")}),
            temporal=SEES,
        )


def test_the_official_overlap_leaves_78_classes(shared_data: Path) -> None:
    overlap = read_overlap(None, ["HMDB-51", "UCF-101"])
    assert overlap is not None
    lists = shared_data / "splits"
    ucf = {
        line.split()[1]
        for path in lists.rglob("classInd.txt")
        for line in path.read_text().splitlines()
        if line.strip()
    }
    hmdb = {path.name.split("_test_split")[0] for path in lists.rglob("*_test_split1.txt")}
    assert (len(ucf), len(hmdb)) == (101, 51)
    assert {name for name, _ in overlap} <= hmdb
    assert {name for _, name in overlap} <= ucf
    assert 101 - len({name for _, name in overlap}) == 78
    # the other way round the columns are turned, and other data has no list
    assert read_overlap(None, ["UCF-101", "HMDB-51"]) == {(b, a) for a, b in overlap}
    assert read_overlap(None, ["mine", "UCF-101"]) is None


def test_an_overlap_file_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "overlap.csv"
    path.write_text("# by hand\nmine,theirs\nride bike , Biking\n")
    assert read_overlap(path, ["mine", "theirs"]) == {("ride bike", "Biking")}
    path.write_text("mine,theirs\nbiking\n")
    with pytest.raises(DataError, match="must have two columns"):
        read_overlap(path, ["mine", "theirs"])
    with pytest.raises(DataError, match="cannot be read"):
        read_overlap(tmp_path / "none.csv", ["mine", "theirs"])
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="no file on disk"):
        read_overlap(tmp_path / "pipe.csv", ["mine", "theirs"])


@pytest.mark.parametrize("architecture", ["small-bn", "cnn-m-2048", "squeezenet1_0", "resnet18"])
def test_a_head_gives_its_part_of_the_scores(architecture: str) -> None:
    torch.manual_seed(0)
    spec = make_spec(None, architecture=architecture, classes=tuple("abcde"), crop_size=64)
    model = StreamModel(spec).eval()
    head = cut_head(model, range(3, 5), classes=("d", "e"), dataset="other")
    assert head.spec == replace(spec, classes=("d", "e"), dataset="other")
    # flow that was halved in training is twice as large in the data set's own pixels
    assert cut_head(model, range(2), 0.5, classes=("a", "b")).spec.std == pytest.approx(
        (0.4, 0.4, 0.4)
    )
    crops = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(head(crops), model(crops)[:, 3:])


def joint_run(tiny_data: Path, other: Path, out: Path, **changes: object) -> dict:
    recipe = make_recipe("quick", steps=4, test_positions=2, fit_scores="in-sample")
    settings = RunSettings(
        data=str(tiny_data),
        recipe=recipe,
        streams=("temporal",),
        others=(str(other),),
        **changes,  # type: ignore[arg-type]
    )
    return train_run(settings, out)


def test_multitask_run_evaluates_every_head_on_its_own_data(
    tiny_data: Path, tiny_run: Path, other_data: Path, tmp_path: Path
) -> None:
    changes = {"others_whole": False, "store": str(tiny_run / "flow")}
    results = joint_run(tiny_data, other_data, tmp_path / "run", **changes)
    own = load_model(tmp_path / "run" / "temporal.safetensors")
    folder = tmp_path / "run" / "others" / "others"
    head = load_model(folder / "temporal.safetensors")
    assert own.spec.classes == head.spec.classes == tuple(results["classes"])
    for name, tensor in own.network.state_dict().items():
        same = torch.equal(tensor, head.network.state_dict()[name])
        assert same == (not name.startswith("classifier")), name
    scores = load_scores(folder / "temporal-test.npz")
    assert results["others"]["others"] == {
        "test_videos": len(scores.video_ids),
        "accuracy": scores.accuracy(),
    }
    assert len(load_scores(tmp_path / "run" / "scores" / "temporal-test.npz").video_ids) == 14
    # a run is an ordinary one afterwards
    video = next(tiny_data.rglob("*.avi"))
    assert TwoStreamPredictor.load(tmp_path / "run").predict(video).top(1)[0][0] in own.spec.classes


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=pytest.mark.slow) for how in ("multitask", "added", "pretrain")],
)
def test_the_other_data_set_is_used_whole_and_changes_the_net(
    tiny_data: Path, other_data: Path, tmp_path: Path, how: str
) -> None:
    changes: dict = {"how": how}
    if how == "added":
        overlap = tmp_path / "overlap.csv"
        overlap.write_text(f"a,b\n{_pair(tiny_data)}\n")
        changes["overlap"] = str(overlap)
    joint_run(tiny_data, other_data, tmp_path / "run", **changes)
    model = load_model(tmp_path / "run" / "temporal.safetensors")
    assert len(model.spec.classes) == 14
    assert model.spec.dataset == tiny_data.name
    scores = load_scores(tmp_path / "run" / "scores" / "temporal-test.npz")
    np.testing.assert_allclose(scores.scores.sum(axis=1), 1, rtol=1e-5)
    other = tmp_path / "run" / "others" / "others" / "temporal.safetensors"
    assert other.is_file() == (how == "multitask")
    before = tmp_path / "run" / "pretraining" / "temporal.safetensors"
    assert before.is_file() == (how == "pretrain")
    if before.is_file():
        assert load_model(before).spec.dataset == "others"


def _pair(data: Path) -> str:
    name = sorted(path.name for path in data.iterdir() if path.is_dir())[0]
    return f"{name},{name}"


def test_other_data_that_cannot_help_is_refused() -> None:
    recipe = make_recipe("quick")
    base: dict = {"data": "d", "recipe": recipe, "others": ("e",)}
    for changes, words in (
        ({"streams": ("spatial",)}, "--stream leaves it out"),
        ({"how": "sum"}, "--how takes multitask, added, pretrain"),
        ({"others": ("e", "f"), "how": "added"}, "takes one other data set, got 2"),
        ({"other_stores": ("s", "t")}, "1 other data sets need as many stores, got 2"),
    ):
        with pytest.raises(UsageError, match=words):
            RunSettings(**{**base, **changes})
