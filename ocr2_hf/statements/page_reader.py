"""What statements need of a reader; `DocumentReader` has it."""

from typing import Protocol

from PIL import Image

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.modeling.generation import Generation


class PageReader(Protocol):
    """Answers prompts about images."""

    @property
    def image_settings(self) -> ImageSettings:
        """How its processor cuts pages into tiles."""

    def prompt(self, task: str, prompt: str | None = None) -> str:
        """The whole prompt of a task, as its recipe says."""

    def answer_batch(
        self, images: list[Image.Image], prompts: list[str], max_new_tokens: int
    ) -> list[Generation | None]:
        """Answer one batch of RGB images; None where the memory is too small for one alone."""
