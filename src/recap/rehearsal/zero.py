"""What ZeRO leaves of a model's memory on each of several devices, read off a DeepSpeed configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.rehearsal.memory import GRADIENTS, OPTIMIZER, WEIGHTS
from recap.training.zero import read_zero_config

BUCKETS = "buckets"

# Gradients are reduced in float32, as trained parameters are.
_GRADIENT_BYTES = 4
# DeepSpeed's own defaults.
_BUCKET_ELEMENTS = int(5e8)
_LIVE_PARAMETERS = int(1e9)


@dataclass(frozen=True)
class Zero:
    """A ZeRO setting.

    Attributes:
        stage: 0 to 3.
        offload_optimizer: Whether optimizer state is kept by the host.
        offload_parameters: Whether weights are.
        bucket_bytes: What gradients wait in until they are reduced.
        live_parameters: How many gathered parameters a device holds at most (stage 3).
    """

    stage: int
    offload_optimizer: bool
    offload_parameters: bool
    bucket_bytes: int
    live_parameters: int

    @classmethod
    def read(cls, path: str | Path, *, hidden_size: int) -> "Zero":
        """Read a DeepSpeed configuration.

        Args:
            path: The JSON file.
            hidden_size: Of the language model; "auto" makes buckets of its square, as transformers does.

        Raises:
            UserError: Training would refuse the file too, see `read_zero_config`.
        """
        stored: dict[str, Any] = read_zero_config(path).get("zero_optimization", {})
        stage = stored.get("stage", 0)
        elements = stored.get("reduce_bucket_size", _BUCKET_ELEMENTS)
        elements = hidden_size**2 if elements == "auto" else int(elements)
        # Stages 1 and 2 keep two buffers, so that one fills while the other is sent.
        buffers = 2 if stage in (1, 2) and stored.get("overlap_comm") else 1
        return cls(
            stage=stage,
            offload_optimizer=_to_host(stored, "offload_optimizer"),
            offload_parameters=_to_host(stored, "offload_param"),
            bucket_bytes=buffers * elements * _GRADIENT_BYTES if stage else 0,
            live_parameters=int(stored.get("stage3_max_live_parameters", _LIVE_PARAMETERS)),
        )


def _to_host(stored: Mapping[str, Any], name: str) -> bool:
    return stored.get(name, {}).get("device", "none") != "none"


def per_device(parts: Mapping[str, int], zero: Zero | None, processes: int, *, weight_bytes: int) -> dict[str, int]:
    """Bytes by part on each of k devices, of what one device alone would hold.

        ZeRO-1 and up   optimizer state / k, and the buckets that gradients are reduced in
        ZeRO-2 and up   gradients / k
        ZeRO-3          weights / k, and the gathered ones: all others, at most `live_parameters`
        without ZeRO    everything, and with k > 1 the gradients once more, in DistributedDataParallel's buckets

    Args:
        parts: Counted on one device.
        zero: The ZeRO setting, or None.
        processes: k.
        weight_bytes: Bytes of a frozen weight.
    """
    split = dict(parts)
    if zero is None or zero.stage == 0:
        return split | ({BUCKETS: split.get(GRADIENTS, 0)} if processes > 1 else {})
    split[BUCKETS] = zero.bucket_bytes
    split[OPTIMIZER] = 0 if zero.offload_optimizer else split.get(OPTIMIZER, 0) // processes
    if zero.stage >= 2:
        split[GRADIENTS] = split.get(GRADIENTS, 0) // processes
    if zero.stage == 3:
        own = 0 if zero.offload_parameters else split[WEIGHTS] // processes
        split[WEIGHTS] = own + min(split[WEIGHTS] - own, zero.live_parameters * weight_bytes)
    return split
