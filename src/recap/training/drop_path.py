"""Drop-path of the high-resolution tower: while training, a sample skips a block of ConvNeXt now and then.

The original leaves it on in both stages, at OpenCLIP's rate of 0.1, although the tower is frozen
(dvlab-research/MGM@769820c); the connectors then learn from noisy features. In eval mode it is off.
"""

import torch
from torch import nn
from transformers import ConvNextModel
from transformers.models.convnext.modeling_convnext import ConvNextDropPath, ConvNextLayer


def set_drop_path(tower: ConvNextModel, rate: float) -> None:
    """Give block i of n the chance `rate` * i / (n - 1) to be skipped, whatever the tower's own configuration says.

    Args:
        tower: Changed in place.
        rate: The last block's chance, in [0, 1).
    """
    layers = [module for module in tower.modules() if isinstance(module, ConvNextLayer)]
    for layer, chance in zip(layers, torch.linspace(0, rate, len(layers)).tolist(), strict=True):
        layer.drop_path = ConvNextDropPath(chance) if chance > 0 else nn.Identity()
