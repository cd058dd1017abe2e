"""Checks of what is not a whole model: adapters and projectors, this project's and the original's."""

from pathlib import Path

from recap.io import read_json
from recap.models.mgm.connectors import connector_name
from recap.models.mgm.mismatch import shortened
from recap.models.mgm.projector import load_projector, read_projector
from recap.models.presence import WEIGHTS_NAME
from recap.training.adapters import Adapter, load_adapter, read_adapter
from recap.training.check.findings import Findings
from recap.training.check.original import adapter_quirks
from recap.training.check.tensors import SHOWN, Survey, connector_problems, survey
from recap.training.check.trial import file_list, try_on_base


def check_adapter(folder: Path, findings: Findings, base: Path | None) -> None:
    """A PEFT folder: consistent in itself and, with a base, fitting it."""
    with findings.attempt("files"):
        adapter = read_adapter(folder)
        findings.ok("files", file_list(folder))
    if findings.failed("files"):
        return
    config, found = adapter.config, survey(adapter.tensors.items())
    layers = sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in found.tensors if ".lora_" in name})
    findings.ok("config", f"LoRA of rank {config.r}, alpha {config.lora_alpha:g}, on {', '.join(layers) or 'nothing'}")
    connectors = {short: tensor for name, tensor in found.tensors.items() if (short := connector_name(name))}
    problems = found.problems + _lora_problems(adapter) + _rounded(found) + connector_problems(connectors)
    findings.faults("tensors", problems, otherwise=found.summary())
    try_on_base(folder, findings, base, load_adapter)
    if adapter.is_original:
        findings.of_original(adapter_quirks(folder))


def check_projector(folder: Path, findings: Findings, base: Path | None) -> None:
    """Connectors on their own: all 16 of one model, of the shapes that the folder says."""
    with findings.attempt("files"):
        _, tensors = read_projector(folder)
        findings.ok("files", file_list(folder))
    if findings.failed("files"):
        return
    found = survey(tensors.items())
    if (folder / WEIGHTS_NAME).is_file():
        with findings.attempt("config"):
            shapes = read_json(folder / "config.json")
            other = [name for name, tensor in found.tensors.items() if shapes.get(name) != list(tensor.shape)]
            problems = [f"config.json: says another shape of {name}" for name in sorted(other)]
            findings.faults("config", shortened(problems, SHOWN), otherwise=f"shapes of {len(shapes)} tensors")
    findings.faults("tensors", found.problems + connector_problems(found.tensors), otherwise=found.summary())
    try_on_base(folder, findings, base, load_projector)


def _lora_problems(adapter: Adapter) -> list[str]:
    """LoRA matrices without their partner, of another rank than the configuration says, or as before training."""
    lora = {name: tensor for name, tensor in adapter.tensors.items() if ".lora_" in name}
    problems = [] if lora else ["expected LoRA matrices, found none"]
    for name, tensor in sorted(lora.items()):
        is_a = ".lora_A." in name
        partner = name.replace(".lora_A.", ".lora_B.") if is_a else name.replace(".lora_B.", ".lora_A.")
        if partner not in lora:
            problems.append(f"missing {partner}")
        if tensor.numel() and not adapter.config.rank_pattern and tensor.shape[0 if is_a else -1] != adapter.config.r:
            problems.append(f"{name} has shape {list(tensor.shape)}, expected rank {adapter.config.r}")
        if not is_a and tensor.numel() and not tensor.any():
            problems.append(f"{name} is all zero, as before training")
    return shortened(problems, SHOWN)


def _rounded(found: Survey) -> list[str]:
    """Tensors that are not float32, in which they trained; those of the original were made so when they were read."""
    others = sorted(set(found.dtypes()) - {"float32"})
    return [f"expected float32, in which adapters train, found {', '.join(others)}"] if others else []
