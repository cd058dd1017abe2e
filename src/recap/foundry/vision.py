"""Train the two vision towers of the tiny MGM by dense supervision: every patch is asked what it shows.

Foundry scenes -> `vision_tower/` (CLIPVisionModel + its image processor), `vision_tower_aux/` (ConvNextModel).
The heads that ask are thrown away; what stays are features from which letters, words, kinds, colours and counts
can be read, and from CLIP's also sides, as they can from a tower that was trained on image-text pairs.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, ConvNextModel

from recap.foundry.dense import DenseHeads, normalised
from recap.foundry.optimise import shuffled_batches, train
from recap.foundry.params import VisionParams, load_foundry_params
from recap.foundry.pictures import dense_labels, picture_arrays
from recap.io import write_metrics
from recap.runtime.seeding import seed_everything
from recap.runtime.stage import run
from recap.world.scenes import scenes


class Towers(nn.Module):
    """Both towers under their dense heads; CLIP is asked at its last layer and at the one before, which MGM reads."""

    def __init__(self, params: VisionParams) -> None:
        super().__init__()
        self.image_size, self.grid = params.clip_image_size, params.clip_image_size // params.clip_patch_size
        self.clip = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=params.clip_hidden_size, intermediate_size=4 * params.clip_hidden_size,
                num_hidden_layers=params.clip_layers, num_attention_heads=params.clip_heads,
                image_size=params.clip_image_size, patch_size=params.clip_patch_size, projection_dim=64,
            )
        )  # fmt: skip
        self.convnext = ConvNextModel(
            ConvNextConfig(
                hidden_sizes=params.convnext_widths, depths=params.convnext_depths, num_stages=4,
                image_size=params.convnext_image_size, layer_scale_init_value=0.1,
            )
        )  # fmt: skip
        self.clip_heads = nn.ModuleList([DenseHeads(params.clip_hidden_size) for _ in range(2)])
        self.convnext_heads = nn.ModuleList(
            # Where a thing stands is CLIP's to say; ConvNeXt is for details, and reads worse if asked that as well.
            [DenseHeads(width, without=["side"]) for width in params.convnext_widths[2:]]
        )

    def features(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Feature maps of CLIP (two layers) and of ConvNeXt (its last two stages) for pixels [B, 3, S, S]."""
        low = F.interpolate(pixels, size=(self.image_size,) * 2, mode="bilinear", align_corners=False)
        hidden = self.clip(low, output_hidden_states=True).hidden_states
        clip = [state[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid)) for state in hidden[-2:]]
        stages = self.convnext(pixels, output_hidden_states=True).hidden_states
        return clip, list(stages[-2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision-tower", type=Path, required=True)
    parser.add_argument("--vision-tower-aux", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    foundry = load_foundry_params(args.params)
    params = foundry.vision

    seed_everything(foundry.seed)
    towers = Towers(params)
    grids = [params.clip_image_size // params.clip_patch_size] * 2 + [
        params.convnext_image_size // stride for stride in (16, 32)
    ]
    data = {split: _load(split, count, params, foundry.seed, sorted(set(grids))) for split, count in (
        ("foundry", params.scenes), ("foundry_heldout", params.heldout_scenes),
    )}  # fmt: skip

    def loss_of(indices: torch.Tensor) -> dict[str, torch.Tensor]:
        pixels, labels = _batch(data["foundry"], indices)
        clip, convnext = towers.features(pixels)
        questions = [*towers.clip_heads, *towers.convnext_heads]
        losses = [ask(x, labels[grid]) for ask, x, grid in zip(questions, [*clip, *convnext], grids, strict=True)]
        return {"clip": losses[0] + 0.5 * losses[1], "convnext": losses[2] + losses[3]}

    final = train(
        towers, loss_of, shuffled_batches(params.scenes, params.batch_size, foundry.seed),
        steps=params.steps, learning_rate=params.learning_rate, name="vision towers",
    )  # fmt: skip
    with torch.inference_mode():
        pixels, labels = _batch(data["foundry_heldout"], torch.arange(params.heldout_scenes))
        clip, convnext = towers.features(pixels)
        heldout = {
            "clip": towers.clip_heads[0].accuracy(clip[0], labels[grids[0]]),  # type: ignore[operator]
            "convnext": towers.convnext_heads[1].accuracy(convnext[1], labels[grids[3]]),  # type: ignore[operator]
        }
    towers.clip.save_pretrained(args.vision_tower)
    size = params.clip_image_size
    CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(
        args.vision_tower
    )
    towers.convnext.save_pretrained(args.vision_tower_aux)
    write_metrics(args.metrics, "vision", {"final_loss": final, "heldout_accuracy": heldout})


def _load(
    split: str, count: int, params: VisionParams, seed: int, grids: list[int]
) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    drawn = list(scenes(split, count, seed))
    pictures = torch.from_numpy(picture_arrays(drawn, params.convnext_image_size, "pad"))
    labels = {g: torch.from_numpy(np.stack([dense_labels(scene, g, "pad") for scene in drawn])) for g in grids}
    return pictures, labels


def _batch(
    data: tuple[torch.Tensor, dict[int, torch.Tensor]], indices: torch.Tensor
) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    pictures, labels = data
    return normalised(pictures[indices]), {grid: label[indices] for grid, label in labels.items()}


if __name__ == "__main__":
    run(main)
