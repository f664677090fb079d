"""Write the model that recipes/tiny/pretrain.yaml starts from: `tiny_reader`, whose weights already say where to look.

    python recipes/tiny/guided_start.py runs/pretrain/start

The folder is a checkpoint like any other, with its processor. Queries and text look at places in order; what they see
there is left to training. Without that the whole of training is the search for where to look: queries and text first
see the mean of the page, which says little about any one character.
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ocr2_hf.errors import run_command
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import PATCH, build_tiny_model, build_tiny_processor


def main(argv: list[str] | None = None) -> int:
    """Write the model and its processor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    guided_model(args.seed).save_pretrained(args.output_dir)
    build_tiny_processor("tiny_reader").save_pretrained(args.output_dir)
    print(f"guided: {args.output_dir}")
    return 0


@torch.no_grad()
def guided_model(seed: int = 0) -> OCR2Model:
    """A fresh `tiny_reader` in float32, its weights started; the same seed gives the same weights."""
    model, tokenizer = build_tiny_model(seed, "tiny_reader"), build_tiny_processor("tiny_reader").tokenizer
    model.model.vision_tower.sam_encoder.pos_embed *= 0.3  # beside the ink, not over it
    start_numbers(model, tokenizer)
    start_queries_at_their_patch(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start_text_in_order(model)
    return model


def start_numbers(model: OCR2Model, tokenizer: PreTrainedTokenizerFast) -> None:
    """Start the numbers 10..999 as waves of their value, in the embedding and in the head: near places look alike.

    Otherwise each of 1000 coordinates must be learned by itself before a box says where to look. Digits alone are
    letters of the text too, and stay.
    """
    embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
    ids = tokenizer.convert_tokens_to_ids([str(number) for number in range(10, 1000)])
    # From half a wave over the page to 48: a pixel of the 192 is then a quarter of the shortest wave.
    frequency = 2 * math.pi * 2 ** torch.linspace(-1, math.log2(48), embedding.shape[1] // 2)
    phase = torch.arange(10, 1000)[:, None] / 1000 * frequency
    waves = torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)
    scale = model.config.text_config.initializer_range * math.sqrt(2)  # as large as the tokens beside them
    embedding[ids] = head[ids] = scale * waves


def start_queries_at_their_patch(model: OCR2Model) -> None:
    """The first half of the encoder's heads looks from a query at the patch of the same place.

    Patches and queries stand one after the other, so that is 144 places back whatever the content: the biases of the
    attention, which rotate with the place, single it out.
    """
    for layer in model.model.vision_tower.vision_encoder.layers:
        attention = layer.self_attn
        query, key = _look_back(_patches(model), attention.head_dim, 10_000.0, waves=8, strength=30)
        for projection, bias, heads in ((attention.q_proj, query, 2), (attention.k_proj, key, 1)):
            rows = slice(heads * attention.head_dim)
            projection.weight[rows] *= 0.25  # or the content drowns the place
            projection.bias[rows] = bias.repeat(heads)


def start_text_in_order(model: OCR2Model) -> None:
    """The first head of the text model's first layer reads the visual tokens in order: the nth letter looks at the nth.

    Its projections have no bias. A part that all token embeddings share, and one that all visual tokens share, stand in
    for it.
    """
    text, embedding = model.config.text_config, model.get_input_embeddings().weight
    width = text.hidden_size
    shared_by_text, shared_by_image = torch.linalg.qr(torch.randn(width, 2)).Q.T
    embedding += 0.15 * math.sqrt(width) * shared_by_text  # half again as large as what tells tokens apart
    model.model.multi_modal_projector.bias.copy_(2 * math.sqrt(width) * shared_by_image)
    attention = model.model.language_model.layers[0].self_attn
    # The prompt of the task ocr is one token behind the separator; it looks at the first visual token.
    back = _patches(model) + 1
    query, key = _look_back(back, attention.head_dim, text.rope_parameters["rope_theta"], waves=12, strength=35)
    rows = slice(attention.head_dim)
    for projection, start, shared in (
        (attention.q_proj, query, shared_by_text),
        (attention.k_proj, key, shared_by_image),
    ):
        # After the norm the shared part is about 0.83 of a token.
        projection.weight[rows] = 0.1 * projection.weight[rows] + start[:, None] / (0.83 * math.sqrt(width)) * shared


def _patches(model: OCR2Model) -> int:
    """How many visual tokens a page has, without the separator."""
    return (model.config.vision_config.sam_config.image_size // PATCH // 4) ** 2


def _look_back(places: int, head_dim: int, theta: float, waves: int, strength: float) -> tuple[Tensor, Tensor]:
    """Query and key [head_dim] whose product, once rotated by their places, is largest `places` apart.

    `waves`: how many of the fastest rotations take part; `strength`: the product of query and key in each.
    """
    half = head_dim // 2
    angle = places * theta ** (-torch.arange(waves) / half)
    query, key = torch.zeros(2, half), torch.zeros(2, half)
    query[:, :waves] = math.sqrt(strength) * torch.stack([torch.cos(angle), -torch.sin(angle)])
    key[0, :waves] = math.sqrt(strength)
    return query.flatten(), key.flatten()


if __name__ == "__main__":
    sys.exit(run_command(main))
