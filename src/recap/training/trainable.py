"""The parameters of a model that a run changes."""

from collections.abc import Iterator

from torch import nn


def cast_trained(model: nn.Module) -> None:
    """Make what trains float32, whatever the rest is."""
    for _, parameter in trained(model):
        parameter.data = parameter.data.float()


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that a run changes, by name."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
