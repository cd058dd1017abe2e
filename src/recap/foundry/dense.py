"""Dense supervision: linear heads that ask every position of a feature map what stands there."""

from collections.abc import Collection

import torch
from torch import nn
from torch.nn import functional as F

from recap.foundry.pictures import DENSE_CLASSES

LABELS = tuple(DENSE_CLASSES)

# The statistics that CLIP, and BLIP-2 after it, normalise pictures with.
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 pictures [B, S, S, 3] -> pixel values [B, 3, S, S], float32."""
    return (pictures.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


class DenseHeads(nn.Module):
    """One linear question per dense label, asked of every position of a feature map [B, C, G, G].

    Args:
        channels: C.
        without: Labels that are not asked about.
    """

    def __init__(self, channels: int, without: Collection[str] = ()) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.heads = nn.ModuleDict(
            {name: nn.Conv2d(channels, n, 1) for name, n in DENSE_CLASSES.items() if name not in without}
        )

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy over all questions; positions that show something weigh as much as the rest."""
        losses = []
        features = self.norm(features)
        for name, head in self.heads.items():
            target = labels[:, LABELS.index(name)]
            loss = F.cross_entropy(head(features), target, reduction="none")
            something = (target > 0).float()  # None of it, where a question is too fine for a coarse map.
            nothing = 1 - something
            losses.append((loss * something).sum() / something.sum().clamp(min=1))
            losses.append(0.3 * (loss * nothing).sum() / nothing.sum().clamp(min=1))
        return torch.stack(losses).sum()

    def accuracy(self, features: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """Percent of the positions that show something where each question is answered rightly."""
        features = self.norm(features)
        result = {}
        for name, head in self.heads.items():
            target = labels[:, LABELS.index(name)]
            something = target > 0
            if something.any():
                hits = (head(features).argmax(1) == target)[something]
                result[name] = 100 * hits.float().mean().item()
        return result
