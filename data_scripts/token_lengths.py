"""Is a page too long for the model? Visual tokens, prompt and target in a tokenizer's tokens, against the context."""

import os
import sys
from pathlib import Path

from transformers import AutoTokenizer
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.data.collator import PromptEncoder, TargetEncoder
from ocr2_hf.data.page_counts import text_length
from ocr2_hf.data.page_splitting import split_page
from ocr2_hf.data.tasks import suits
from ocr2_hf.document.records import PageRecord, RecordError
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.model_files import load_config
from ocr2_hf.modeling.tiny import TINY_SIZES

CONTEXT = 8192  # DeepSeek-OCR-2's
TINY = "tiny"
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


class TokenLengths:
    """Measures pages for the model, or the tokenizer, of a folder or Hub id.

    A folder with a tokenizer alone is taken with the image settings and the context of DeepSeek-OCR-2. Raises
    `UsageError` where there is no tokenizer.
    """

    def __init__(self, name: str):
        processor = _processor(name)
        self._prompts = PromptEncoder(processor)
        self._targets = TargetEncoder(processor.tokenizer)
        self.context = _context(name)

    def measure(self, row: dict) -> tuple[int, int]:
        """(visual tokens, all tokens) of a page's longest task; `row` has the columns of a record but the image."""
        tiles = self._prompts.settings.tiles(row["width"], row["height"])
        visual = self._prompts.settings.tokens(tiles)
        # `locate` is never longer than `markdown`, which has all regions, nor is `ocr`.
        tasks = [task for task in ("markdown", "custom") if suits(task, row)]
        lengths = [text_length(row, task, {}, self._prompts, self._targets) for task in tasks]
        return visual, visual + max(lengths, default=0)

    def is_over(self, record: PageRecord, width: int, height: int) -> bool:
        """Is a checked page longer than the context, so that training must split it?

        Raises `RecordError` where it cannot: between no regions can it be cut into parts that fit.
        """
        row = vars(record) | {"width": width, "height": height}
        try:
            _, length = self.measure(row)
        except WorkError as error:
            raise RecordError(str(error)) from None
        if length <= self.context:
            return False
        if not record.bboxes or not split_page(row, self._prompts, {}, self.context):
            raise RecordError(f"page of {length:,} tokens is over the context of {self.context:,} and cannot be split")
        return True


def choose_lengths(tokenizer: str | None, default: str) -> tuple[TokenLengths, str]:
    """By the tokenizer that is asked for; else by the default or, where that cannot be had, the tiny model's."""
    if tokenizer:
        return TokenLengths(tokenizer), tokenizer
    try:
        return TokenLengths(default), default
    except UsageError as error:
        print(f"warning: {error}", file=sys.stderr)
        print("warning: lengths are counted with the tiny model's tokenizer, a token a character", file=sys.stderr)
        return TokenLengths(TINY), TINY


def _processor(name: str) -> DeepseekOcr2Processor:
    folder = Path(name)
    if not folder.is_dir() or any((folder / file).is_file() for file in _PROCESSOR_FILES):
        return load_processor(name)
    try:
        return DeepseekOcr2Processor(DeepseekOcr2ImageProcessorPil(), AutoTokenizer.from_pretrained(name))
    except (OSError, ValueError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--tokenizer: {name} has no tokenizer of DeepSeek-OCR-2: {reason}") from None


def _context(name: str) -> int:
    if name in TINY_SIZES:
        return load_processor(name).tokenizer.model_max_length
    if os.path.isdir(name) and not (Path(name) / "config.json").is_file():
        return CONTEXT
    try:
        return load_config(name).text_config.max_position_embeddings
    except UsageError as error:
        raise UsageError(f"--tokenizer: {error}") from None
