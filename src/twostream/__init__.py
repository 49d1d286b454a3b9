"""Two-stream action recognition: spatial and temporal ConvNets, fused late."""
