"""Merges a model with a large vocabulary and prints its size and the memory that the merge took; run as a script.

python -m tests.training.merge_peak FOLDER DTYPE
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, GemmaConfig, GemmaForCausalLM

from recap.merging.memory import return_freed_tensors
from recap.merging.merge import merge_and_prove
from recap.merging.probes import Probes
from recap.models.mgm.build import build_mgm
from recap.models.mgm.modeling_mgm import MGMConvNextModel, MGMForConditionalGeneration
from recap.params import LoraParams
from recap.training.dataset import Example, RowEncoder
from recap.training.lora import add_lora, save_adapter
from recap.training.trainable import trained

ASSETS = Path(__file__).parents[1] / "assets"
VOCABULARY, WIDTH, PROBES, TOKENS = 100_000, 512, 8, 64


def save_parts(root: Path) -> tuple[Path, Path, Path]:
    parts = (root / "gemma", root / "clip", root / "convnext")
    torch.manual_seed(0)
    text = GemmaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
    )
    # As published: a float32 model of it cannot be the mapped file.
    GemmaForCausalLM(text).bfloat16().save_pretrained(parts[0])
    AutoTokenizer.from_pretrained(ASSETS / "toy_tokenizer").save_pretrained(parts[0])
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=16, patch_size=8)).save_pretrained(parts[1])
    MGMConvNextModel(ConvNextConfig(hidden_sizes=[4, 4, 4, 4], depths=[1, 1, 1, 1])).save_pretrained(parts[2])
    return parts


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Yield a list; afterwards it holds the bytes of the process's own memory at their highest, over those before.

    Pages of mapped files do not count: the system drops them when it needs room.
    """
    before, peaks, done = own_memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peaks[0] = max(peaks[0], own_memory() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def own_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main() -> None:
    return_freed_tensors()
    root, dtype = Path(sys.argv[1]), getattr(torch, sys.argv[2])
    parts = save_parts(root)

    def base(dtype: torch.dtype) -> MGMForConditionalGeneration:
        torch.manual_seed(1)
        return build_mgm(*parts, image_size_aux=32, dtype=dtype)[0]

    wrapped = add_lora(
        base(torch.float32), LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "down_proj"])
    )
    with torch.no_grad():
        for _, parameter in trained(wrapped):
            parameter.add_(0.1)
    save_adapter(wrapped, root / "adapter")
    size = sum(parameter.numel() * 4 for parameter in wrapped.get_base_model().parameters())
    del wrapped
    turns = [{"from": "human", "value": "what"}, {"from": "gpt", "value": "red " * TOKENS}]
    rows = [Example("row", "id", None, turns)] * PROBES
    with peak_memory() as peaks:
        model, processor = build_mgm(*parts, image_size_aux=32)
        proof = merge_and_prove(
            model,
            Probes(rows, RowEncoder(processor, {"conversation": root}, "pad", TOKENS)),
            rebuild=base,
            adapter=root / "adapter",
            merged=root / "merged",
            dtype=dtype,
            device=torch.device("cpu"),
            tolerance=1e-3,
        )
    print(json.dumps({"model": size, "peak": peaks[0], "logits_of_all": PROBES * TOKENS * VOCABULARY * 4, **proof}))


if __name__ == "__main__":
    main()
