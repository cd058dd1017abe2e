"""Training of MGM's connectors alone (stage 1 of the Mini-Gemini recipe): projector and patch-info mining.

Both towers and the language model are frozen. 16 tensors train, as in mgm/train/train.py@769820c.
"""

from torch import nn

from recap.models.mgm.connectors import connector_parameters


def freeze_all_but_connectors(model: nn.Module) -> None:
    """Leave `requires_grad` on exactly the connectors' parameters."""
    model.requires_grad_(False)
    for parameter in connector_parameters(model).values():
        parameter.requires_grad_(True)
