"""Time a training step, part by part, against the plain computation of the same numbers.

The plain form projects every high-resolution position (as the original does), computes the logits of every position,
and masks padding. Both forms run in one process, alternately; the best of several repeats counts.

    python bench/training.py [--repeats 3] [--skip-large]
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from repeats import quickest
from tables import print_table
from torch import nn
from torch.nn import functional as F

from recap.io import write_json
from recap.models.mgm import mining, modeling_mgm
from recap.models.mgm.build import build_mgm
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.connectors import MGMMiningProjector
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.runtime.seeding import seed_everything
from recap.runtime.stage import run
from recap.runtime.timing import hardware
from recap.training.connectors import freeze_all_but_connectors

TINY = Path("models/tiny")
# About 100 M parameters, a third of them words.
MIDDLE: dict[str, Any] = {
    "text_config": {
        "vocab_size": 64_000,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 128,
    },
    "vision_config": {
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "image_size": 168,
        "patch_size": 14,
    },
    "vision_config_aux": {"hidden_sizes": [96, 192, 384, 768], "depths": [2, 2, 4, 2]},
    "image_size_aux": 384,
    "image_token_id": 1,
}

Row = dict[str, Any]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-large", action="store_true", help="leave out mining at the size of MGM-2B (4 GB)")
    parser.add_argument("--output", type=Path, default=Path("bench/results/training.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    seed_everything(0)
    rows = [] if args.skip_large else mining_rows(args.repeats)
    rows.append(compare("pretraining step, tiny, 16 samples", step_of(tiny_mgm(), 16, text=40), args.repeats))
    rows.append(compare("pretraining step, 100 M, 2 samples", step_of(middle_mgm(), 2, text=60), args.repeats))
    print_table(list(rows[0]), rows)
    write_json(args.output, {"hardware": {**hardware(), "torch_threads": torch.get_num_threads()}, "rows": rows})
    print(f"\n{args.output}")


def plain_mining(
    query: torch.Tensor, blocks: Iterable[torch.Tensor], keys: nn.Module, values: nn.Module
) -> torch.Tensor:
    """Keys and values of every position, as in mgm/model/mgm_arch.py@769820c."""
    positions = torch.stack(list(blocks))
    key, value = keys(positions), values(positions)
    scores = query.unsqueeze(2) @ (key / key.shape[-1] ** 0.5).transpose(-1, -2)
    return (torch.nan_to_num(scores).softmax(dim=-1) @ value).mean(dim=2)


def plain_loss(self: Any, hidden: torch.Tensor, labels: torch.Tensor, _: Any) -> torch.Tensor:
    """Logits of every position in float32, then the loss of the labelled ones."""
    logits = self.lm_head(hidden).float()
    following = F.pad(labels[:, 1:], (0, 1), value=-100)
    return F.cross_entropy(logits.flatten(0, 1), following.flatten())


@contextmanager
def plain_form() -> Iterator[None]:
    """The model computes as the original does while this is open."""
    kept = modeling_mgm.mine_patch_info, MGMForConditionalGeneration._loss
    modeling_mgm.mine_patch_info = plain_mining
    MGMForConditionalGeneration._loss = plain_loss  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        modeling_mgm.mine_patch_info, MGMForConditionalGeneration._loss = kept  # type: ignore[method-assign]


def mining_rows(repeats: int) -> list[Row]:
    """Mining of one image at the size of MGM-2B: 576 patches of 64 positions, A = 2880, C = 1024, float32."""
    keys, values = MGMMiningProjector(2880, 1024), MGMMiningProjector(2880, 1024)
    query, blocks = torch.randn(1, 576, 1024, requires_grad=True), torch.randn(1, 576, 64, 2880)

    def forward(plain: bool) -> torch.Tensor:
        form = plain_mining if plain else mining.mine_patch_info
        return form(query, blocks, keys, values)

    def forward_without_graph(plain: bool) -> None:
        with torch.no_grad():
            forward(plain)

    return [
        compare("mining, forward", forward_without_graph, repeats),
        compare("mining, forward and backward", lambda plain: forward(plain).sum().backward(), repeats),
    ]


def tiny_mgm() -> MGMForConditionalGeneration:
    parts = (TINY / name for name in ("language_model", "vision_tower", "vision_tower_aux"))
    model, _ = build_mgm(*parts, image_size_aux=192)
    return model


def middle_mgm() -> MGMForConditionalGeneration:
    return MGMForConditionalGeneration(MGMConfig(**MIDDLE))


def step_of(model: MGMForConditionalGeneration, samples: int, *, text: int) -> Callable[[bool], None]:
    """Forward and backward of pretraining, on random rows of which half of the text is labelled."""
    freeze_all_but_connectors(model.train())
    config = model.config
    image = torch.full((samples, config.num_image_tokens), config.image_token_id)
    words = torch.randint(config.image_token_id + 1, config.text_config.vocab_size, (samples, text))
    labels = torch.cat([torch.full_like(image, -100), words.where(torch.arange(text) >= text // 2, -100)], dim=1)
    given = {
        "input_ids": torch.cat([image, words], dim=1),
        "labels": labels,
        "pixel_values": torch.randn(samples, 3, *[config.vision_config.image_size] * 2),
        "pixel_values_aux": torch.randn(samples, 3, *[config.image_size_aux] * 2),
    }
    # Real batches are padded, which makes a mask necessary unless the padding's place is known.
    mask = torch.ones_like(given["input_ids"])
    mask[0, -1] = 0

    def step(plain: bool) -> None:
        if plain:
            with plain_form():
                model(**given, attention_mask=mask, use_cache=True).loss.backward()
        else:
            model(**given).loss.backward()

    return step


def compare(name: str, work: Callable[[bool], Any], repeats: int) -> Row:
    """Both forms alternately; CPU and wall seconds of the quickest turn of each."""
    plain, recap = quickest([partial(work, True), partial(work, False)], repeats)
    row: Row = {"work": name}
    for label, best in (("plain", plain), ("recap", recap)):
        row |= {f"{label}_cpu_s": round(best.cpu, 3), f"{label}_wall_s": round(best.wall, 3)}
    row["times"] = round(plain.cpu / recap.cpu, 1)
    print(f"{name}: {row['plain_cpu_s']} -> {row['recap_cpu_s']} CPU-seconds, {row['times']} times", flush=True)
    return row


if __name__ == "__main__":
    run(main)
