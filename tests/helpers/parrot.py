"""A reader whose model gives an answer that the test chooses; everything around the model is real."""

from collections.abc import Callable

from PIL import Image

from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.modeling.generation import Generation
from ocr2_hf.reading.reader import DocumentReader


class Parrot(DocumentReader):
    """`answer` is the text for every page, or a function of the page's image; `pages` fit into a batch."""

    pages = 8

    def __init__(self, answer: str | Callable[[Image.Image], str], finished: bool = True):
        self.prompts, self.answer, self.finished = PROMPTS, answer, finished
        self.no_repeat_ngram, self.no_repeat_window, self.max_seconds = 20, 90, None
        self.batches: list[int] = []

    def fitting_pages(self, max_new_tokens=0):
        return self.pages

    def prepare(self, image):
        return image

    def generate(self, images, prompts, max_new_tokens=0):
        self.batches.append(len(images))
        texts = [self.answer(image) if callable(self.answer) else self.answer for image in images]
        return [Generation(text, 5, self.finished, 0.1) for text in texts]
