"""The model's loss terms against the stock model's own loss, and that it saves as the stock class."""

import json

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForImageTextToText, DeepseekOcr2ForConditionalGeneration

from helpers.tiny_pages import coordinate_ids, page_dataset, processor
from ocr2_hf.data.collator import IGNORED, TrainingCollator
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.modeling.losses import LossSettings, box_losses
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.tiny import build_tiny_model


@pytest.fixture(scope="module")
def batch():
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    weighted = TrainingCollator(processor(), {"coordinate": 2.0, "eos": 3.0, "tag": 0.5}, {"title": 1.5})
    return weighted([pages[i] for i in range(4)])


@pytest.fixture
def model():
    model = build_tiny_model().eval()
    model.loss_settings = LossSettings(coordinate_ids(), chunks=3)
    return model


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def figures(out) -> dict[str, float]:
    """Everything a batch is counted by."""
    sums = {f"sum of {name}": totals.sum().item() for name, totals in out.sums.items()}
    counts = {f"count of {name}": counts.sum().item() for name, counts in out.counts.items()}
    return sums | counts | {"correct": out.correct.item(), "tokens": out.tokens.item()}


def plain(batch) -> dict[str, torch.Tensor]:
    """What the stock model takes."""
    return {name: batch[name] for name in batch if not name.startswith(("box_", "token_weights"))}


def test_without_weights_and_boxes_the_text_loss_is_the_stock_loss_value_and_gradient(model, batch):
    ones = {"token_weights": (batch["labels"] != IGNORED).float()}
    empty = {
        "box_rows": batch["box_rows"][:0],
        "box_tokens": batch["box_tokens"][:0],
        "box_values": batch["box_values"][:0],
    }
    ours = model(**plain(batch), **ones, **empty)
    ours.loss.backward()
    our_gradients = gradients(model)
    model.zero_grad()
    stock = AutoModelForImageTextToText.from_config(model.config)
    stock.load_state_dict(model.state_dict())
    stock_loss = stock.eval()(**plain(batch)).loss
    stock_loss.backward()
    assert ours.loss.item() == pytest.approx(stock_loss.item(), rel=1e-6)
    stock_gradients = gradients(stock)
    assert set(stock_gradients) == set(our_gradients)
    for name, gradient in stock_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_the_weight_of_the_end_scales_what_the_end_costs_and_nothing_else(model):
    """`token_weights: {eos: 5}` on one page: four times its EOS's cost is added."""
    page = PageTasks(page_dataset(), processor(), {"markdown": 1.0})[0]
    one, five = (TrainingCollator(processor(), {"eos": weight})([page]) for weight in (1.0, 5.0))
    logits = model(**plain(one)).logits[0, -2]
    end = F.cross_entropy(logits, torch.tensor(processor().tokenizer.eos_token_id))
    costs = [model(**batch).sums["text"] for batch in (one, five)]
    assert (costs[1] - costs[0]).item() == pytest.approx(4 * end.item(), rel=1e-4)


def test_weighted_text_loss_and_boxes_by_hand(model, batch):
    out = model(**batch)
    logits = model(**plain(batch)).logits[:, :-1]
    labels, weights = batch["labels"][:, 1:], batch["token_weights"][:, 1:]
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED)
    costs = (each * weights.flatten()).view_as(weights).sum(dim=1)
    torch.testing.assert_close(out.sums["text"], costs, rtol=1e-5, atol=0)
    torch.testing.assert_close(out.counts["text"], weights.sum(dim=1))
    assert out.tokens.item() == (weights > 0).sum().item()
    right = (logits.argmax(-1) == labels) & (labels != IGNORED)
    assert out.correct.item() == right.sum().item()
    probability = logits[batch["box_rows"][:, None], batch["box_tokens"][:, 1:] - 1][
        ..., torch.tensor(coordinate_ids())
    ].softmax(-1)
    expected = probability @ (torch.arange(1000) / 999)
    torch.testing.assert_close(out.bbox_preds, expected, rtol=1e-4, atol=1e-5)
    each = F.smooth_l1_loss(expected, batch["box_values"] / 999, beta=0.1, reduction="none").mean(dim=1)
    by_hand = [each[batch["box_rows"] == page].sum() for page in range(len(labels))]
    torch.testing.assert_close(out.sums["box"], torch.stack(by_hand), rtol=1e-4, atol=1e-7)
    text, box = out.sums["text"].sum() / out.counts["text"].sum(), out.sums["box"].sum() / 6
    assert out.loss.item() == pytest.approx((text + 0.5 * box).item(), rel=1e-6)


def test_an_error_of_a_twentieth_costs_what_the_docs_say():
    off, right = torch.full((1, 4), 0.55), torch.full((1, 4), 0.5)
    assert box_losses(off, right, beta=1.0).item() == pytest.approx(0.00125)
    assert box_losses(off, right, beta=0.1).item() == pytest.approx(0.0125)


@pytest.mark.parametrize("source", ["expectation", "head"])
def test_a_batch_without_boxes_gives_a_zero_attached_to_the_graph(batch, source):
    model = build_tiny_model()
    model.loss_settings = LossSettings(coordinate_ids(), box_source=source)
    if source == "head":
        model.add_box_head()
    empty = {name: batch[name][:0] for name in ("box_rows", "box_tokens", "box_values")}
    out = model(**(batch | empty))
    assert not out.sums["box"].any() and out.sums["box"].requires_grad and out.bbox_preds.shape == (0, 4)
    out.sums["box"].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    if source == "head":
        assert model.box_head.box.weight.grad is not None


def test_boxes_of_the_head_train_the_head_and_reach_the_text_model(batch):
    model = build_tiny_model()
    model.loss_settings = LossSettings(coordinate_ids(), box_source="head")
    model.add_box_head()
    out = model(**batch)
    assert out.bbox_preds.shape == (6, 4) and ((out.bbox_preds > 0) & (out.bbox_preds < 1)).all()
    out.sums["box"].sum().backward()
    assert model.box_head.hidden.weight.grad.abs().sum() > 0
    assert model.model.language_model.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0


def test_padding_and_order_change_nothing(model, batch):
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    collate = TrainingCollator(processor(), {"coordinate": 2.0, "eos": 3.0, "tag": 0.5}, {"title": 1.5})
    alone = [model(**collate([pages[i]])) for i in range(4)]
    turned = model(**collate([pages[i] for i in (3, 1, 0, 2)]))
    together = model(**batch)
    for name, total in figures(together).items():
        assert sum(figures(out)[name] for out in alone) == pytest.approx(total, rel=1e-5), name
        assert figures(turned)[name] == pytest.approx(total, rel=1e-5), name


def test_loss_settings_must_be_set_first(batch):
    with pytest.raises(ValueError, match="loss_settings"):
        build_tiny_model()(**batch)


def test_weights_handed_over_as_bits_are_the_same(model, batch):
    bits = batch | {"token_weights": batch["token_weights"].view(torch.int32)}
    assert torch.equal(model(**bits).sums["text"], model(**batch).sums["text"])


def test_it_saves_as_the_stock_class_and_loads_with_the_stock_loaders(model, batch, tmp_path):
    model.add_box_head()
    model.save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [
        "DeepseekOcr2ForConditionalGeneration"
    ]
    stock = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    assert type(stock) is DeepseekOcr2ForConditionalGeneration
    assert torch.equal(stock(**plain(batch)).logits, model(**plain(batch)).logits)
    assert (tmp_path / "box_head.safetensors").is_file()


def test_a_stock_model_becomes_ours_in_place(batch):
    stock = AutoModelForImageTextToText.from_config(build_tiny_model().config)
    ours = OCR2Model.from_stock(stock)
    assert ours is stock and isinstance(ours, OCR2Model)
    ours.loss_settings = LossSettings(coordinate_ids())
    assert ours(**batch).loss.isfinite()


def test_vision_tokens_attend_both_ways_and_queries_causally():
    """One patch moved changes every image token's output; one query changed changes only the queries from it on."""
    encoder = build_tiny_model().model.vision_tower.vision_encoder.eval()
    torch.manual_seed(0)
    inputs = torch.randn(1, 144 + 144, 128)
    with torch.no_grad():
        before = encoder(inputs_embeds=inputs, num_patches=144).last_hidden_state
        patch, query = inputs.clone(), inputs.clone()
        patch[0, 143] += 1
        query[0, 144 + 70] += 1
        moved = (encoder(inputs_embeds=patch, num_patches=144).last_hidden_state - before).abs().sum(-1)[0]
        asked = (encoder(inputs_embeds=query, num_patches=144).last_hidden_state - before).abs().sum(-1)[0]
    assert (moved > 0).all()
    assert (asked[: 144 + 70] == 0).all() and (asked[144 + 70 :] > 0).all()


def test_the_vision_tower_really_trains(batch):
    model = build_tiny_model()
    model.loss_settings = LossSettings(coordinate_ids())
    model(**batch).loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in still if "experts" not in name], still
