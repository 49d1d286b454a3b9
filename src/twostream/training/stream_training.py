"""Training of one stream (section 5) as a Lightning module, and the losses of section 4."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import Sampler
from torchmetrics.classification import MulticlassAccuracy

from twostream import stopping
from twostream.checkpoint import StreamModel
from twostream.files import write_text
from twostream.loader import Batches, TimedLoader, batches
from twostream.models import classifier, first_stages
from twostream.recipe import LITE, Recipe
from twostream.types import ModelError, Progress, no_progress

LOG_EVERY = 10
LEARNT = 0.8  # of the samples in the last tenth of a training, dropout and all, are to be right

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class StepsFrom(Sampler[int]):
    """Steps first, first + 1, ..., steps - 1, where first is asked when the iteration starts."""

    steps: int
    first: Callable[[], int]

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first(), self.steps))


class StreamTraining(LightningModule):
    """SGD on one stream.

    It is over at the first of the recipe's ends by which the net knows its training clips.

    Args:
        model, recipe, train, progress: see ``fit``.
        data: training batches, for one process; split here over the devices.
        loader_workers: processes that make batches; 0 makes them in this one.
        history_path: where the curves go, as JSON.
    """

    def __init__(
        self,
        model: StreamModel,
        data: Batches,
        recipe: Recipe,
        *,
        train: str = "all",
        loader_workers: int = 0,
        history_path: Path | None = None,
        progress: Progress = no_progress,
    ) -> None:
        super().__init__()
        self.model = model
        self.data = data
        self.recipe = recipe
        may_end = recipe.ends if recipe.most_steps else ()
        self.ends = (*(end for end in may_end if end < data.steps), data.steps)
        self.train_layers = train
        self.loader_workers = loader_workers
        self.history_path = history_path
        self.progress = progress
        self.history: list[dict[str, float]] = []
        self.accuracy = MulticlassAccuracy(len(model.spec.classes), average="micro")
        self.timed_loader: TimedLoader | None = None
        self.started = 0.0
        # at once: several devices ask which parameters get a gradient before the optimiser is made
        for parameter in self.frozen():
            parameter.requires_grad_(False)

    def frozen(self) -> list[nn.Parameter]:
        """Return the parameters that keep what they start with."""
        network = self.model.network
        if self.train_layers == "last-layer":
            last = {id(parameter) for parameter in classifier(network).parameters()}
            return [each for each in self.model.parameters() if id(each) not in last]
        # the number of stages is chosen for these networks
        known = self.model.spec.architecture.startswith(LITE)
        return first_stages(network, (self.recipe.frozen_stages or 0) if known else 0)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch: mean cross entropy, summed over the heads (section 4)."""
        crops, labels = batch["crops"], batch["labels"]
        # a clip's segments agree before the loss (Wang et al. 2016); mostly there is one
        logits = self.model(crops.flatten(0, 1)).unflatten(0, crops.shape[:2]).mean(dim=1)
        if heads := self.data.heads:
            logits = own_head(logits, labels, heads)
            loss = multitask_loss(logits, labels, heads)
        else:
            loss = nn.functional.cross_entropy(logits, labels)
        self.accuracy.update(logits, labels)
        step = self.global_step
        end = next(end for end in self.ends if step < end)
        logged = (step + 1) % LOG_EVERY == 0 or step + 1 == end
        # asking a GPU makes it wait, so there it is asked where the loss is read anyway
        if (logged or loss.device.type == "cpu") and not torch.isfinite(loss):
            raise self.diverged(f"the loss is {float(loss.detach()):g}", step + 1)
        if logged:
            row = {
                "step": step + 1,
                "loss": float(loss.detach()),
                "accuracy": float(self.accuracy.compute()),
                "learning_rate": self.recipe.learning_rate_at(step),
            }
            self.accuracy.reset()
            self.history.append(row)
            self.log_dict({key: value for key, value in row.items() if key != "step"})
            if self.global_rank == 0:
                detail = f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.2f}"
                self.progress(f"train {self.model.spec.stream}", step + 1, end, detail)
        return loss

    def learnt(self) -> float:
        """Return the share of right answers to the samples of the last tenth of the steps."""
        first, right, steps = 0.9 * self.global_step, 0.0, 0.0
        for before, row in pairwise([{"step": 0.0}, *self.history]):
            if row["step"] > first:
                right += (row["step"] - before["step"]) * row["accuracy"]
                steps += row["step"] - before["step"]
        return right / steps if steps else 0.0

    def may_end(self) -> None:
        """End the training where it may be over and the net knows its training clips."""
        step = self.global_step
        if step not in self.ends[:-1]:
            return
        if (share := self.learnt()) >= LEARNT:
            self.trainer.should_stop = True
        elif self.global_rank == 0:
            logger.info(
                "%s: after %d steps %.0f%% of training samples are right, so it is trained on",
                self.model.spec.stream,
                step,
                100 * share,
            )

    def diverged(self, what: str, step: int) -> ModelError:
        """Return the error of a training that cannot be gone on with."""
        end = next(end for end in self.ends if step <= end)
        return ModelError(
            f"the {self.model.spec.stream} net's training diverged: {what} at step {step} of "
            f"{end} (the learning rate's highest is {self.recipe.learning_rate:g}): "
            "train again with a lower --learning-rate and another --out"
        )

    def check_weights(self) -> None:
        """Raise a ModelError where a weight or statistic is not finite."""
        for name, values in self.model.network.state_dict().items():
            if values.is_floating_point() and not values.isfinite().all():
                raise self.diverged(f"{name} is not finite", self.global_step)

    def configure_optimizers(self) -> Any:
        """SGD with momentum and the recipe's schedule; frozen layers get no gradient."""
        last = list(classifier(self.model.network).parameters())
        in_last = {id(parameter) for parameter in last}
        rest = [p for p in self.model.parameters() if id(p) not in in_last]
        if self.train_layers == "last-layer":
            rest = []
        optimizer = torch.optim.SGD(
            rest + last,
            lr=1.0,  # the schedule below gives the rate itself
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.recipe.learning_rate_at)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> Any:
        """Batches from the step on at which training stands: a resumed run sees the same ones."""
        share = self.data.share(self.trainer.global_rank, self.trainer.world_size)
        order = StepsFrom(self.data.steps, lambda: self.global_step)
        self.timed_loader = TimedLoader(
            batches(
                share,
                order,
                workers=self.loader_workers,
                pin_memory=self.trainer.strategy.root_device.type == "cuda",
            )
        )
        return self.timed_loader

    def on_fit_start(self) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_start(self) -> None:
        """Hear signals, and see whether it is over."""
        if self.trainer.world_size > 1:  # Lightning's own handler would wait for the other devices
            stopping.listen(over=True)
        self.may_end()  # one that goes on from there

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See whether it is over."""
        self.may_end()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make dropout a function of seed, step and device too, and keep frozen layers still."""
        # any fixed mixing does; it must only differ from step to step and from rank to rank
        torch.manual_seed((self.data.seed * 1_000_003 + self.global_step) * 64 + self.global_rank)
        frozen = self.model.spec.stream in self.recipe.frozen_norm
        if self.train_layers == "last-layer" or frozen:
            for module in self.model.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def on_fit_end(self) -> None:
        """Write the curves and how long the loop waited for data.

        Not at the end of training: one that goes on from its last step has none.
        """
        self.check_weights()
        if self.history_path and self.global_rank == 0:
            wait = self.timed_loader.wait_seconds if self.timed_loader else 0.0
            summary = {
                "history": self.history,
                "seconds": round(time.perf_counter() - self.started, 3),
                "loader_wait_seconds": round(wait, 3),
                "learnt": round(self.learnt(), 4),
                "trained_share": round(trained_share(self.model), 4),
            }
            write_text(self.history_path, json.dumps(summary))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves across a restart; of a training that diverged nothing is kept."""
        self.check_weights()
        checkpoint["history"] = self.history
        checkpoint["accuracy"] = self.accuracy.metric_state  # since the last row

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the curves up again."""
        self.history = checkpoint["history"]
        for name, value in checkpoint.get("accuracy", {}).items():
            setattr(self.accuracy, name, value.to(self.device))


def trained_share(model: nn.Module) -> float:
    """Return the share of a net's weights that are trained; the others keep their start."""
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(n for n, trained in counts if trained) / sum(n for n, _ in counts)


def own_head(logits: Tensor, labels: Tensor, heads: Sequence[int]) -> Tensor:
    """Shut every sample out of the heads that are not its own (section 4).

    One softmax layer a data set is one linear layer whose outputs are read in parts: with -inf
    elsewhere, the softmax is over the sample's own part, and no gradient reaches the others.

    Args:
        logits: (b, k) of all heads, one after another.
        labels: (b,) of all heads' classes in the same order; a sample's head is its label's.
        heads: number of classes of each head; their sum is k.
    """
    head = torch.repeat_interleave(
        torch.arange(len(heads), device=logits.device), torch.tensor(heads, device=logits.device)
    )
    return logits.masked_fill(head[None, :] != head[labels][:, None], -torch.inf)


def multitask_loss(logits: Tensor, labels: Tensor, heads: Sequence[int]) -> Tensor:
    """Return the sum over the heads of the mean cross entropy of their own samples (section 4).

    Args:
        logits: (b, k), already through ``own_head``.
        labels: (b,).
        heads: number of classes of each head; a head without samples adds nothing.
    """
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    total, first = losses.new_zeros(()), 0
    for size in heads:
        own = (labels >= first) & (labels < first + size)
        total = total + losses[own].sum() / own.sum().clamp(min=1)
        first += size
    return total
