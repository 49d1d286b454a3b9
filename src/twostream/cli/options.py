"""Options that several verbs have, each written once, in the panels that `--help` shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from twostream import types
from twostream.recipe import Recipe
from twostream.recipes import RECIPES

if TYPE_CHECKING:
    from twostream.datasets import SplitChoice
    from twostream.training import TrainerOptions

DATA, METHOD, NETWORK, TRAINING, MACHINE = "Data", "Method", "Network", "Training", "Machine"
# spelt out: asking the estimators themselves would import OpenCV for every --help
FLOW = (
    "Flow estimator: dis, brox, dis-brox, tvl1, farneback, tvl1-opencv, raft-small, raft-large "
    "or mv; brox:fast and brox:accurate are presets, likewise of dis-brox and tvl1; "
    "dis:fast and dis:patches are of dis."
)
CUDA = {"auto": "auto", "cpu": "cpu", "gpu": "cuda"}  # the Trainer's words -> torch's


def option(*names: str, panel: str | None = None, **more: Any) -> Any:
    """Declare an option that several verbs have, for ``Annotated``, in a panel of their help."""
    return typer.Option(*names, rich_help_panel=panel, **more)


def own(default: Any, text: str, panel: str | None = None, *names: str, **more: Any) -> Any:
    """Declare an option of one verb: its default, its help, and where that stands."""
    return typer.Option(default, *names, help=text, rich_help_panel=panel, **more)


RecipeName = Literal["standard", "quick", "paper"]
FromScratch = Literal["quick", "paper"]


def per_recipe(text: str, field: str, recipes: Any = RecipeName) -> str:
    """Return a help text with each recipe's own value, of those that a verb takes.

    >>> per_recipe("Dropout", "dropout")
    'Dropout: 0.8, temporal 0.5 (standard), 0.2 (quick), 0.9 (paper).'
    >>> per_recipe("SGD steps", "steps")
    'SGD steps: as its clips ask (standard), 400 (quick), 80,000 (paper).'
    """
    values = {name: _value(RECIPES[name], field) for name in get_args(recipes)}
    shown = {name: f"{v:,}" if isinstance(v, int | float) else v for name, v in values.items()}
    return f"{text}: {', '.join(f'{value} ({name})' for name, value in shown.items())}."


def _value(recipe: Recipe, field: str) -> Any:
    """Return what a recipe does where nothing is said, both streams' where they differ."""
    if recipe.epochs and field == "steps":
        return "as its clips ask"
    name = f"fine_tuning_{field}" if recipe.imagenet and field == "learning_rate" else field
    spatial, temporal = (getattr(recipe.of(stream), name) for stream in types.STREAMS)
    return spatial if spatial == temporal else f"{spatial}, temporal {temporal}"


Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder of class folders, a UCF-101 or HMDB-51 root, or a CSV or list file.",
    ),
]
TrainedRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="A RUN folder with trained models.")
]
Predicting = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A RUN folder with trained models, or an exported folder."),
]
Split = Annotated[int | None, option(panel=DATA, help="Number of a split that came with the data.")]
Fold = Annotated[str | None, option(panel=DATA, help="i/k: test fold i of k, drawn by group.")]
TestGroups = Annotated[
    str | None, option(panel=DATA, help="Groups to test on, with commas: a,b,c.")
]
SkipUnreadable = Annotated[
    bool,
    option(
        "--skip-unreadable",
        panel=DATA,
        help="Leave unreadable test videos out instead of counting them as wrong.",
    ),
]

AUTO_FLOW = f"{FLOW[:-1]}; auto: by what it recognises of held-out training clips. Unless given"
Flow = Annotated[str | None, option(panel=METHOD, help=per_recipe(AUTO_FLOW, "flow"))]
Codec = Annotated[
    types.Codec, option(panel=METHOD, help="jpeg (8 bit, as in the paper) or lossless.")
]
Quality = Annotated[int, option(panel=METHOD, min=1, max=100, help="Of the JPEG.")]
Bound = Annotated[
    float | None,
    option(panel=METHOD, help="Fixed flow range in pixels; default: each field's own."),
]
Fps = Annotated[
    float | None,
    option(panel=METHOD, help="Resample all videos to this rate; folders of frames are of it."),
]
ShortSide = Annotated[
    int | None,
    option(
        panel=METHOD,
        min=8,
        help=per_recipe("Stored size: shorter side in pixels", "short_side"),
    ),
]
CropSize = Annotated[
    int | None, option(panel=METHOD, help=per_recipe("Side of the crops in pixels", "crop_size"))
]

ScratchCropSize = Annotated[
    int | None,
    option(panel=METHOD, help=per_recipe("Side of the crops in pixels", "crop_size", FromScratch)),
]

Steps = Annotated[int | None, option(panel=TRAINING, help=per_recipe("SGD steps", "steps"))]
ScratchSteps = Annotated[
    int | None, option(panel=TRAINING, help=per_recipe("SGD steps", "steps", FromScratch))
]
BatchSize = Annotated[
    int | None,
    option(panel=TRAINING, help=per_recipe("Global batch, over all devices", "batch_size")),
]
Seed = Annotated[
    int, option(panel=TRAINING, min=0, help="Decides the split, initialisation and samples.")
]
Resume = Annotated[
    bool, option("--resume", panel=TRAINING, help="Continue a training that was stopped.")
]

Workers = Annotated[
    int | None,
    option(panel=MACHINE, min=1, help="Threads that work on videos; default: one a core."),
]
ShardText = Annotated[
    str | None,
    option(
        panel=MACHINE,
        metavar="i/n",
        help="Do the i-th of n parts; n such commands, on any machines that share the folder, do "
        "all of it.",
    ),
]
ClusterText = Annotated[
    str | None,
    option(
        "--cluster",
        panel=MACHINE,
        metavar="ADDRESS",
        help="A Ray cluster that does it: auto, host:6379, ray://host:10001, or local for one on "
        "this machine.",
    ),
]
LoaderWorkers = Annotated[
    int | None, option(panel=MACHINE, min=0, help="Processes that make batches.")
]
Device = Annotated[
    Literal["auto", "cpu", "gpu"],
    option("--accelerator", panel=MACHINE, help="Where networks run."),
]
Accelerator = Annotated[
    Literal["auto", "cpu", "gpu", "cuda", "mps"],
    option(panel=MACHINE, help="Where networks are trained (the Trainer's option)."),
]
Devices = Annotated[int, option(panel=MACHINE, min=1, help="Number of devices, of each node.")]
Nodes = Annotated[
    int, option(panel=MACHINE, min=1, help="Number of machines, under torchrun or srun.")
]
Precision = Annotated[
    Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"],
    option(panel=MACHINE, help="Of the arithmetic."),
]
AsJson = Annotated[bool, option("--json", help="Print one JSON object as the last line.")]


def split_choice(split: int | None, fold: str | None, test_groups: str | None) -> SplitChoice:
    """Return who is tested, of --split, --fold and --test-groups a,b,c."""
    from twostream.datasets import SplitChoice

    groups = tuple(test_groups.split(",")) if test_groups else None
    return SplitChoice(split=split, fold=fold, test_groups=groups)


def trainer_options(
    accelerator: str,
    devices: int = 1,
    precision: str = "32-true",
    loader_workers: int | None = None,
    nodes: int = 1,
) -> TrainerOptions:
    """Return what is handed to the Lightning Trainer."""
    from twostream.training import TrainerOptions

    return TrainerOptions(
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        precision=precision,
        loader_workers=loader_workers,
    )
