"""Training of MGM's connectors alone (stage 1 of the Mini-Gemini recipe): projector and patch-info mining.

Both towers and the language model are frozen. 16 tensors train, as in mgm/train/train.py@769820c.
"""

from torch import nn

from recap.models.mgm.modeling_mgm import CONNECTORS
from recap.training.trainer import trained

# Two linear layers of the projector, and a LayerNorm and a linear layer in each of the three mining modules; each has a
# weight and a bias.
CONNECTOR_TENSORS = 16


def is_connector(name: str) -> bool:
    """Whether a parameter belongs to a connector, judged by whole parts of its dotted name."""
    return not set(CONNECTORS).isdisjoint(name.split("."))


def freeze_all_but_connectors(model: nn.Module) -> None:
    """Leave `requires_grad` on exactly the connectors' parameters.

    Raises:
        RuntimeError: The model has not 16 connector tensors.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_connector(name))
    names = [name for name, _ in trained(model)]
    if len(names) != CONNECTOR_TENSORS:
        raise RuntimeError(f"expected {CONNECTOR_TENSORS} connector tensors, found {len(names)}: {', '.join(names)}")


def keep_connectors_in_float32(model: nn.Module) -> None:
    """Give the connectors float32 before trained ones are loaded, so that a bfloat16 model does not round them."""
    for name, parameter in model.named_parameters():
        if is_connector(name):
            parameter.data = parameter.data.float()
