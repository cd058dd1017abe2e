"""Where a rehearsal's tensors live: nowhere (fakes, which know their sizes and hold no numbers), or on a device.

Weights, pixels and activations are fake; token ids, labels and masks are real tensors in either case. They are small,
and the model looks at them to decide what to do, which fakes cannot tell.
"""

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

Model = TypeVar("Model", bound=nn.Module)


class Place(Protocol):
    """What the steps of a rehearsal need to know about where they run."""

    device: torch.device

    def construction(self) -> AbstractContextManager[Any]:
        """Surrounds the construction of a model."""

    def settle(self, model: Model) -> Model:
        """Move a constructed model here, in place."""

    def pixels(self, *shape: int) -> torch.Tensor:
        """Random float32 pixels."""


class Fakes:
    """Tensors without numbers, which behave as on a CPU."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    def construction(self) -> AbstractContextManager[Any]:
        return torch.device("meta")

    def settle(self, model: Model) -> Model:
        fakes: dict[int, nn.Parameter] = {}
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    # Tied parameters stay one tensor.
                    if id(parameter) not in fakes:
                        fakes[id(parameter)] = nn.Parameter(self._fake(parameter), parameter.requires_grad)
                    module._parameters[name] = fakes[id(parameter)]
            for name, child in module._modules.items():
                if type(child) is nn.Dropout:
                    module._modules[name] = FusedDropout(child.p)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = self._fake(buffer)
        return model

    def pixels(self, *shape: int) -> torch.Tensor:
        return self._fake(torch.empty(shape, device="meta"))

    def _fake(self, tensor: torch.Tensor) -> torch.Tensor:
        return FakeTensor(self._mode, tensor.detach().to("meta"), self.device)


class OnDevice:
    """Real tensors with random numbers."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def construction(self) -> AbstractContextManager[Any]:
        return self.device

    def settle(self, model: Model) -> Model:
        return model.to(self.device)

    def pixels(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device)


class FusedDropout(nn.Dropout):
    """Dropout as a GPU computes it, with a mask of one byte an element; a CPU keeps a mask of the input's dtype."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(input, self.p, train=True)[0] if self.training else input
