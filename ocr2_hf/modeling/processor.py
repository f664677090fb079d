"""What a processor needs so that stock classes and servers ask the model as it was trained to be asked.

What is completed is saved with every model, so nobody who loads one has to know of it:

- **BOS.** The authors' code begins every prompt with it, and so does training here. A DeepSeek tokenizer of the library
  does not add it: its post-processor is byte-level. Now encoding adds one, unless told `add_special_tokens=False`.
- **Tags.** In the released tokenizer `<td>`, `<|ref|>` and their kin are special tokens, and what drops special tokens
  from an answer (`skip_special_tokens=True`, which servers do unasked) drops boxes' tags and fuses the cells of a
  table: 1,234 and 5 become 1,2345. They become ordinary added tokens; ids and the way text is cut stay the same.
  `<image>` and the tokens of roles stay special: no answer has them.
- **A chat template**, `chat_template.jinja`: BOS; for each image of a message `<image>` and a line break; the text;
  no words for roles. Images come first wherever they stand in a message; a text that has its own `<image>` keeps it. A
  system message is a line before that; an answer ends with EOS. The template writes BOS itself, as is the convention
  for templates: vLLM and TRL encode what it gives without special tokens, and `apply_chat_template(tokenize=True)` does
  so when it sees BOS. Who renders text first and encodes it later says `add_special_tokens=False`, or has BOS twice.
"""

from copy import deepcopy
from pathlib import Path

from tokenizers import processors
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ocr2_hf.document.grounding import TAGS
from ocr2_hf.errors import UsageError

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
# What answers have of the model's own tokens, with the one that asks for boxes.
TABLE_TOKENS = ("<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>")
ANSWER_TOKENS = (*TAGS, *TABLE_TOKENS)


def complete_processor(processor: ProcessorMixin) -> ProcessorMixin:
    """The processor, with BOS, tags and chat template as the module says; one that has them stays as it is.

    Raises `UsageError` for a tokenizer without BOS.
    """
    tokenizer = processor.tokenizer = _with_ordinary_tags(processor.tokenizer)
    if tokenizer.bos_token is None:
        raise UsageError(f"the tokenizer of {tokenizer.name_or_path!r} has no BOS; use the tokenizer of DeepSeek-OCR-2")
    if tokenizer("").input_ids != [tokenizer.bos_token_id]:
        begin_with_bos(tokenizer)
    processor.chat_template = tokenizer.chat_template = CHAT_TEMPLATE
    return processor


def begin_with_bos(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let encoding add BOS, and no other special token. A byte-level step, which is about offsets, stays."""
    backend, bos = tokenizer.backend_tokenizer, tokenizer.bos_token
    template = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    present = backend.post_processor
    steps = list(present) if isinstance(present, processors.Sequence) else [present]
    offsets = [step for step in steps if isinstance(step, processors.ByteLevel)]
    backend.post_processor = processors.Sequence([*offsets, template]) if offsets else template


def _with_ordinary_tags(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, or a copy of it in which none of `ANSWER_TOKENS` is special."""
    tokenizer.extra_special_tokens = [name for name in tokenizer.extra_special_tokens if name not in ANSWER_TOKENS]
    found = [token for token in tokenizer.added_tokens_decoder.values() if token.content in ANSWER_TOKENS]
    special = [token for token in found if token.special]
    for token in special:
        token.special = False
    if special:
        tokenizer.add_tokens(special)
        tokenizer = deepcopy(tokenizer)  # one that runs keeps the list of special tokens it was loaded with
    return tokenizer
