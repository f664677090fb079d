"""The head's loss terms in pieces: values and gradients are those of plain autograd, at a fraction of its memory."""

import pytest
import torch
import torch.nn.functional as F

from ocr2_hf.modeling.head import OCR2Head

TOKENS, WIDTH, VOCABULARY = 23, 16, 1200
IDS = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))[:1000]


def inputs(dtype: torch.dtype = torch.float32, tokens: int = TOKENS):
    generator = torch.Generator().manual_seed(0)
    head = OCR2Head(WIDTH, VOCABULARY, bias=False, dtype=dtype)
    torch.nn.init.normal_(head.weight, generator=generator)
    hidden = torch.randn(tokens, WIDTH, generator=generator).to(dtype).requires_grad_()
    labels = torch.randint(0, VOCABULARY, (tokens,), generator=generator)
    weights = torch.rand(tokens, generator=generator) * (torch.arange(tokens) % 5 > 0)
    rows = torch.arange(0, tokens, 3)
    return head, hidden, labels, weights, rows


def plain_terms(head, hidden, labels, weights, rows):
    logits = F.linear(hidden, head.weight).float()
    losses = F.cross_entropy(logits, labels, reduction="none") * weights
    correct = ((logits.argmax(dim=-1) == labels) & (weights > 0)).sum()
    expected = (logits[rows][:, IDS].softmax(dim=-1) * torch.arange(1000)).sum(dim=-1) / 999
    return losses, correct, expected


def results(terms, head, hidden):
    losses, correct, expected = terms
    steep, slope = torch.linspace(0, 6, len(losses)), torch.linspace(-1, 1, len(expected)) * 100
    ((losses * steep).sum() + (expected * slope).sum()).backward()
    return losses, correct, expected, hidden.grad.float(), head.weight.grad.float()


@pytest.mark.parametrize("chunks", [1, 2, 7, 50])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_terms_and_gradients_are_those_of_plain_autograd(dtype, tolerance, chunks):
    given = inputs(dtype)
    expected = results(plain_terms(*given), *given[:2])
    given = inputs(dtype)
    found = results(given[0](*given[1:], IDS, chunks), *given[:2])
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance * max(1.0, plain.abs().max().item()))
    assert given[0].weight.grad.dtype == given[1].grad.dtype == dtype


def test_under_autocast_logits_have_16_bits_and_gradients_of_float32_weights_have_32():
    given = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        found = results(given[0](*given[1:], IDS, 4), *given[:2])
    halved = inputs(torch.bfloat16)
    expected = results(plain_terms(*halved), *halved[:2])
    assert found[0].dtype == found[2].dtype == torch.float32
    assert given[0].weight.grad.dtype == torch.float32
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=2e-2, atol=2e-2 * max(1.0, plain.abs().max().item()))


@pytest.mark.parametrize("trains", ["head", "hidden"])
def test_only_what_trains_gets_a_gradient(trains):
    head, hidden, *rest = inputs()
    (hidden if trains == "head" else head.weight).requires_grad_(False)
    losses, _, expected = head(hidden, *rest, IDS, 3)
    (losses.sum() + expected.sum()).backward()
    assert (hidden.grad is None, head.weight.grad is None) == (trains == "head", trains == "hidden")


def test_without_tokens_and_coordinates_there_are_zeros_attached_to_the_graph():
    head, hidden, labels, weights, rows = inputs(tokens=0)
    losses, correct, expected = head(hidden, labels, weights, rows, IDS, 4)
    assert (losses.shape, correct.item(), expected.shape) == ((0,), 0, (0,))
    (losses.sum() + expected.sum()).backward()
    assert not head.weight.grad.any()


def test_it_is_a_linear_layer_otherwise():
    head, hidden, *_ = inputs()
    assert torch.equal(head(hidden), F.linear(hidden, head.weight))
