"""Generation: batches, ends, and the guard against loops."""

import itertools
import random
import time
from functools import wraps
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from helpers.tiny_pages import noise, processor
from ocr2_hf.data.collator import GenerationCollator
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.decoding import CPU_PAGES, MOST_PAGES
from ocr2_hf.modeling.generation import SlidingNoRepeatNgram, cache_bytes, fitting_pages, generate, token_ends
from ocr2_hf.modeling.tiny import build_tiny_model


def banned(ngram: int, window: int, ids: list[int], exempt=frozenset()) -> set[int]:
    scores = SlidingNoRepeatNgram(ngram, window, exempt)(torch.tensor([ids]), torch.zeros(1, 10))
    return set((scores[0] == -float("inf")).nonzero().flatten().tolist())


def test_a_token_that_would_repeat_an_ngram_is_forbidden():
    assert banned(3, 90, [1, 2, 3, 4, 1, 2]) == {3}
    assert banned(3, 90, [1, 2, 3, 1, 2, 4, 1, 2]) == {3, 4}
    assert banned(3, 90, [1, 2, 3, 4, 2, 1]) == set()
    assert banned(3, 90, [1]) == set()


def test_only_the_window_counts_and_exempt_tokens_may_come():
    assert banned(3, 4, [1, 2, 3, 4, 1, 2]) == set()
    assert banned(3, 90, [1, 2, 3, 4, 1, 2], frozenset({3})) == set()


def test_what_is_forbidden_is_what_every_ngram_of_the_window_says():
    """Against the definition, over random answers of few tokens, two pages at a time."""
    chance = random.Random(0)
    for _ in range(300):
        ngram, window, prompt, length = (chance.randint(*span) for span in ((2, 5), (5, 20), (0, 10), (1, 40)))
        rows = [[chance.randrange(4) for _ in range(prompt + length)] for _ in range(2)]
        scores = torch.zeros(2, 4)
        SlidingNoRepeatNgram(ngram, window, frozenset({3}), prompt)(torch.tensor(rows), scores)
        for row, forbidden in zip(rows, scores.isinf().tolist(), strict=True):
            seen = row[prompt:][-window:]
            ngrams = {tuple(seen[i : i + ngram]) for i in range(len(seen) - ngram + 1)}
            assert forbidden == [tuple([*seen, t][-ngram:]) in ngrams and t != 3 for t in range(4)]


def test_an_answer_may_repeat_its_question():
    """`locate` is answered with the words it was asked for, which are longer than the guard's n-gram."""
    tokenizer = processor().tokenizer
    asked = "<|ref|>Total 1,234.56 EUR, payable within thirty days of receipt<|/ref|>"
    said = [*tokenizer(asked, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    assert len(said) > 20
    page, prompt = [Image.new("RGB", (50, 50))], [f"<image>\nLocate {asked} in the image."]
    (answer,) = generate(model_that_says(said), processor(), page, prompt, max_new_tokens=90)
    assert answer.text == asked and answer.finished


def test_a_batch_reads_as_each_page_alone():
    """Left padding and other pages' tiles change no answer."""
    model = build_tiny_model().eval()
    pages = [noise(size, 80).convert("RGB") for size in ((100, 90), (250, 200), (190, 60))]
    prompts = ["<image>\nFree OCR.", "<image>\nFree OCR.", "<image>\nLocate <|ref|>Tea<|/ref|> in the image."]
    together = generate(model, processor(), pages, prompts, max_new_tokens=12)
    alone = [
        generate(model, processor(), [page], [prompt], max_new_tokens=12)[0]
        for page, prompt in zip(pages, prompts, strict=True)
    ]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert all(answer.tokens == 12 and not answer.finished and answer.seconds > 0 for answer in together)


def model_that_says(ids: list[int]):
    """A tiny model whose next token is the next of `ids`, whatever it sees."""
    model = build_tiny_model().eval()
    stock = model.forward

    @wraps(stock)  # `generate` looks at its arguments
    def forward(*args, **kwargs):
        out = stock(*args, **kwargs)
        out.logits = torch.zeros_like(out.logits)
        out.logits[..., ids.pop(0)] = 9.0
        return out

    model.forward = forward
    return model


def scripted(*scripts: list[int], seconds: float = 0.0):
    """A tiny model that says to the nth page the nth script over and over, each token after `seconds`."""
    model = build_tiny_model().eval()
    stock, step = model.forward, itertools.count()

    @wraps(stock)
    def forward(*args, **kwargs):
        time.sleep(seconds)
        out, at = stock(*args, **kwargs), next(step)
        out.logits = torch.zeros_like(out.logits)
        for row, script in enumerate(scripts):
            out.logits[row, :, script[at % len(script)]] = 9.0
        return out

    model.forward = forward
    return model


def read_two(model, **options):
    return generate(model, processor(), [Image.new("RGB", (50, 50))] * 2, ["<image>\nFree OCR."] * 2, **options)


@pytest.mark.timeout(60)
def test_a_page_that_never_ends_is_cut_off_and_the_other_is_whole():
    tokenizer = processor().tokenizer
    whole = [*tokenizer("short", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    endless = tokenizer("Lorem ipsum", add_special_tokens=False).input_ids
    pages = read_two(scripted(whole, endless, seconds=0.1), max_new_tokens=4096, no_repeat_ngram=0, max_seconds=2)
    assert [page.finished for page in pages] == [True, False] and [page.timed_out for page in pages] == [False, True]
    assert pages[0].text == "short" and "Lorem ipsum".startswith(pages[1].text[:11]) and 1 < pages[1].tokens < 25
    pages = read_two(scripted(whole, endless), max_new_tokens=12, no_repeat_ngram=0)
    assert [(page.finished, page.timed_out) for page in pages] == [(True, False), (False, False)]
    assert pages[1].tokens == 12


def test_probabilities_are_the_models_own_before_the_guard():
    """Two pages of different length, a guard that forbids much, against the logits as the model made them."""
    model = build_tiny_model().eval()
    stock, tokens, seen = model.forward, [], []

    @wraps(stock)
    def forward(*args, **kwargs):
        out = stock(*args, **kwargs)
        out.logits[..., model.generation_config.eos_token_id] = -1e4  # no answer ends early
        seen.append(out.logits[:, -1].float().softmax(dim=-1).clone())
        return out

    generate_stock = model.generate
    model.forward = forward
    model.generate = lambda **kwargs: tokens.append(generate_stock(**kwargs)) or tokens[0]
    pages = [noise(size, 80).convert("RGB") for size in ((100, 90), (250, 200))]
    prompts = ["<image>\nFree OCR.", "<image>\nLocate <|ref|>Tea<|/ref|> in the image."]
    answers = generate(model, processor(), pages, prompts, max_new_tokens=30, no_repeat_ngram=2, window=30)
    chosen = tokens[0][:, -len(seen) :]
    for row, answer in enumerate(answers):
        expected = [float(step[row, token]) for step, token in zip(seen, chosen[row], strict=True)]
        assert not answer.finished and answer.tokens == len(expected) == 30
        assert answer.probabilities == pytest.approx(expected, abs=1e-6)
        assert len(answer.token_ends) == 30 and answer.token_ends[-1] == len(answer.text)
    # Where the guard stepped in, the token was not the model's first choice.
    assert any(step[0].argmax() != token for step, token in zip(seen, chosen[0], strict=True))


@pytest.mark.parametrize("text", ["plain", "<|ref|>title<|/ref|> a", "é 你好 🙂 x", "", "日本語\n\n[[1, 2, 3, 4]]"])
def test_where_tokens_end(text):
    tokenizer = processor().tokenizer
    ids = tokenizer(text, add_special_tokens=False).input_ids
    ends = token_ends(tokenizer, ids, text)
    for number, end in enumerate(ends, 1):
        said = tokenizer.decode(ids[:number], skip_special_tokens=False)
        assert said == text[:end] or said.rstrip("\ufffd") == text[:end]
    assert [*ends][-1:] == [len(text)] * bool(text)


def test_an_id_beyond_the_tokenizers_has_no_characters():
    """The released model has 129,280 places and its tokenizer fewer tokens: a weak one may answer any of them."""
    tokenizer = processor().tokenizer
    ids = [*tokenizer("ab", add_special_tokens=False).input_ids, len(tokenizer) + 1]
    assert token_ends(tokenizer, ids, tokenizer.decode(ids)) == (1, 2, 2)


def test_tokens_that_are_no_characters_still_have_ends():
    tokenizer = processor().tokenizer
    ids = tokenizer("你好", add_special_tokens=False).input_ids[:-1]
    text = tokenizer.decode(ids, skip_special_tokens=False)
    assert text.endswith("\ufffd") and token_ends(tokenizer, ids, text)[:3][-1] == 1
    assert token_ends(tokenizer, ids, "another text") == ()


def test_the_answer_ends_at_eos_and_keeps_its_tags():
    tokenizer = processor().tokenizer
    said = [*tokenizer("<|ref|>text<|/ref|> a", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    (answer,) = generate(
        model_that_says(list(said)),
        processor(),
        [Image.new("RGB", (50, 50))],
        ["<image>\nFree OCR."],
        max_new_tokens=50,
    )
    assert answer.text == "<|ref|>text<|/ref|> a" and answer.finished and answer.tokens == len(said)


def test_the_guard_breaks_a_loop():
    model = build_tiny_model().eval()
    stock = model.forward

    @wraps(stock)  # `generate` looks at its arguments
    def forward(*args, **kwargs):
        out = stock(*args, **kwargs)
        out.logits = torch.zeros_like(out.logits)
        out.logits[..., 70] = 9.0
        out.logits[..., 71] = 5.0
        return out

    model.forward = forward
    page, prompt = [Image.new("RGB", (50, 50))], ["<image>\nFree OCR."]
    (free,) = generate(model, processor(), page, prompt, max_new_tokens=30, no_repeat_ngram=0)
    (guarded,) = generate(model, processor(), page, prompt, max_new_tokens=30, no_repeat_ngram=5, window=20)
    assert len(set(free.text)) == 1 and len(set(guarded.text)) > 1


def test_pages_seen_one_by_one_are_the_batch_that_the_stock_processor_makes():
    images = [noise((190, 190)), noise((700, 400)).convert("RGB"), Image.new("RGB", (90, 60), "red"), noise((300, 900))]
    images = [image.convert("RGB") for image in images]
    collator, prompts = GenerationCollator(processor()), ["<image>\nRead."] * len(images)
    arguments = ImageSettings.of(processor()).call_arguments()
    wanted = processor().image_processor(images, return_tensors="pt", **arguments)
    for batch in (collator(images, prompts), collator([collator.pixels(image) for image in images], prompts)):
        assert wanted.keys() == batch.keys() - {"input_ids", "attention_mask"}
        assert all(torch.equal(batch[name], tensor) for name, tensor in wanted.items())


def test_a_cache_is_as_large_as_it_is_taken_for():
    model, settings = build_tiny_model(), ImageSettings.of(processor())
    cache = model.model.language_model(torch.ones(1, 30, dtype=torch.long), use_cache=True).past_key_values
    counted = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    tokens = settings.tokens(settings.max_patches) + 64 + 100
    assert cache_bytes(model, processor(), 100) * 30 == counted * tokens


def test_a_batch_has_the_pages_that_fit_beside_the_weights(monkeypatch):
    model = build_tiny_model()
    assert fitting_pages(model, processor(), 4096) == CPU_PAGES
    weights, page = sum(parameter.nbytes for parameter in model.parameters()), cache_bytes(model, processor(), 4096)
    parts = {"config": model.config, "dtype": model.dtype, "parameters": model.parameters}
    on_gpu = SimpleNamespace(device=torch.device("cuda"), **parts)

    def fitting(room: float) -> int:
        memory = (weights + 3 * 2**30 + room) / 0.9
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
        return fitting_pages(on_gpu, processor(), 4096)

    assert [fitting(pages * 1.5 * page) for pages in (-5, 0.5, 7.5, 1000)] == [1, 1, 7, MOST_PAGES]
