"""Pre-training of the spatial net on labelled images, as section 5 does on ILSVRC-2012."""

from twostream.pretraining.image_training import pretrain, pretraining_recipe, validate

__all__ = ["pretrain", "pretraining_recipe", "validate"]
