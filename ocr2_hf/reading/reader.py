"""`DocumentReader`: a saved model that reads images and PDFs, with the prompts its recipe says it was trained with."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from PIL import Image

from ocr2_hf.data.collator import PromptError
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.tasks import PROMPTS, asked_prompt
from ocr2_hf.decoding import BATCH_SIZE, MAX_NEW_TOKENS, MAX_SECONDS, NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.document.page_files import LoadedPage, Pages, PageSource, Source, is_pdf, list_pages
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.generation import Generation, generate
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.model_files import files_beside
from ocr2_hf.reading.onnx_model import is_onnx_folder, load_onnx_model
from ocr2_hf.reading.results import Page
from ocr2_hf.recipe_checks import checked, loop_guard_problems
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved

# Grey levels by which the pixels of a blank page may differ, as JPEG makes them.
BLANK_RANGE = 8

OnError = Callable[[PageSource, WorkError], None]


@dataclass(frozen=True)
class ReadBefore:
    """A page that an earlier run has read. It keeps its place in its batch, for answers can depend on neighbours: where
    one of them is still to be read, it is loaded and asked again, if it was `asked` (a blank one was not)."""

    load: Callable[[], LoadedPage]
    asked: bool


def _raise(source: PageSource, error: WorkError) -> None:
    raise error


@dataclass(frozen=True)
class SavedRecipe:
    """What reading needs of a recipe: task -> weight, task -> prompt, and the guard against loops."""

    tasks: dict[str, float] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    no_repeat_ngram: int = NO_REPEAT_NGRAM
    no_repeat_window: int = NO_REPEAT_WINDOW


def read_saved_recipe(model: str | Path) -> SavedRecipe:
    """The recipe beside a model, a directory or a Hub id; an empty one where there is none.

    Its other keys may be those of another version. Raises `UsageError` when it is broken.
    """
    folder = files_beside(model)
    saved = read_saved(folder)
    names = [item.name for item in fields(SavedRecipe)]
    values, problems = checked({name: saved[name] for name in names if saved.get(name) not in (None, {})})
    recipe = SavedRecipe(**values)
    problems = problems or loop_guard_problems(recipe.no_repeat_ngram, recipe.no_repeat_window)
    if problems:
        raise UsageError(f"{folder / RECIPE_FILE}: {'; '.join(problems)}")
    return recipe


def page_task(model: str | Path) -> str:
    """The task by which a model reads whole pages: `markdown`, or `ocr` where its recipe has that alone."""
    tasks = read_saved_recipe(model).tasks
    return "ocr" if tasks.get("ocr", 0) > 0 and not tasks.get("markdown", 0) else "markdown"


class DocumentReader:
    """Reads pages with a DeepSeek-OCR-2: `DocumentReader.from_pretrained("runs/letters").read("scan.png")`.

    `prompts` overrides the prompts of tasks. No answer repeats `no_repeat_ngram` tokens within its last
    `no_repeat_window`, so that a loop is broken; 0 turns that off. After `max_seconds` what a batch has not answered to
    the end is left as it is; None sets no limit.
    """

    def __init__(
        self,
        model,
        processor,
        prompts: Mapping[str, str] | None = None,
        no_repeat_ngram: int = NO_REPEAT_NGRAM,
        no_repeat_window: int = NO_REPEAT_WINDOW,
        max_seconds: float | None = MAX_SECONDS,
    ) -> None:
        for problem in loop_guard_problems(no_repeat_ngram, no_repeat_window):
            raise UsageError(problem)
        self.model, self.processor = model.eval(), processor
        self.prompts = {**PROMPTS, **(prompts or {})}
        self.no_repeat_ngram, self.no_repeat_window = no_repeat_ngram, no_repeat_window
        self.max_seconds = max_seconds

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = "auto",
        attn_implementation: str = "auto",
        no_repeat_ngram: int | None = None,
        no_repeat_window: int | None = None,
        max_seconds: float | None = MAX_SECONDS,
    ) -> "DocumentReader":
        """Load a directory (a model, an adapter, ONNX graphs) or a Hub id; `device` None is the GPU where there is one.

        ONNX graphs are read by ONNX Runtime on the CPU, in float32.

        A directory that `ocr2 train` wrote is read with the prompts it was trained with, and with the guard against
        loops it was evaluated with where `no_repeat_ngram` and `no_repeat_window` say nothing else.
        """
        recipe = read_saved_recipe(name)
        ngram = recipe.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram
        window = recipe.no_repeat_window if no_repeat_window is None else no_repeat_window
        for problem in loop_guard_problems(ngram, window):
            raise UsageError(problem)
        if is_onnx_folder(name):
            model = load_onnx_model(name, device, dtype)
        else:
            model = load_model(name, dtype=dtype, attn_implementation=attn_implementation)
            model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, load_processor(name), recipe.prompts, ngram, window, max_seconds)

    @property
    def image_settings(self) -> ImageSettings:
        """How the processor cuts pages into tiles."""
        return ImageSettings.of(self.processor)

    def read(
        self,
        source: Source | list[Source],
        task: str = "markdown",
        prompt: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = BATCH_SIZE,
        pages: Pages | None = None,
    ) -> Page | list[Page]:
        """Read an image (PIL or a file) -> `Page`; a PDF, a multi-page TIFF or a list -> list of `Page`.

        `prompt` is asked in place of the task's own; for `locate` it is the text to find, for `custom` it is
        needed. Of documents with several pages `pages` chooses, by number from 1: "3-7,9" or numbers. Raises
        `WorkError` naming a file that cannot be read, before or at its page.
        """
        prompt = self.prompt(task, prompt)
        many = isinstance(source, list | tuple)
        sources = [page for item in (source if many else [source]) for page in list_pages(item, pages)]
        read = list(self.stream(sources, prompt, max_new_tokens, batch_size))
        return read if many or is_pdf(source) or len(read) > 1 else read[0]

    def stream(
        self,
        sources: Iterable[PageSource | ReadBefore],
        prompt: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = BATCH_SIZE,
        on_error: OnError | None = None,
    ) -> Iterator[Page]:
        """Read pages as they come, `batch_size` at a time, in order; `prompt` as `self.prompt` gives it.

        Nothing comes of those that were read before. A page that cannot be read goes to `on_error` with the reason, and
        the others are read; without it the reason is raised. A batch that does not fit into the GPU's memory is halved.
        """
        on_error = on_error or _raise
        batch: list[tuple[PageSource | ReadBefore, LoadedPage | Page | None]] = []
        asked = 0
        for source in sources:
            if isinstance(source, ReadBefore):
                batch.append((source, None))
                asked += source.asked
            else:
                try:
                    loaded = source.load_for_reading()
                except WorkError as error:
                    on_error(source, error)
                    continue
                if is_blank(loaded.image):
                    loaded = Page("", loaded.width, loaded.height, True, 0, 0.0, source, blank=True)
                batch.append((source, loaded))
                asked += isinstance(loaded, LoadedPage)
            if asked in (0, batch_size):
                yield from self._answer(batch, prompt, max_new_tokens, on_error)
                batch, asked = [], 0
        yield from self._answer(batch, prompt, max_new_tokens, on_error)

    def _answer(
        self,
        batch: list[tuple[PageSource | ReadBefore, LoadedPage | Page | None]],
        prompt: str,
        max_new_tokens: int,
        on_error: OnError,
    ) -> Iterator[Page]:
        if all(isinstance(source, ReadBefore) for source, _ in batch):
            return
        batch = [(source, _again(source) if isinstance(source, ReadBefore) else page) for source, page in batch]
        images = [page.image for _, page in batch if isinstance(page, LoadedPage)]
        answers = iter(self.answer_batch(images, [prompt] * len(images), max_new_tokens))
        for source, page in batch:
            answer = next(answers) if isinstance(page, LoadedPage) else None
            if isinstance(source, ReadBefore):
                continue
            if isinstance(page, Page):
                yield page
            elif answer:
                told = {name: value for name, value in vars(answer).items() if name != "text"}
                yield Page(answer.text, page.width, page.height, source=source, **told)
            else:
                on_error(source, WorkError(f"{source.name}: too little GPU memory to read this page, even alone"))

    def answer_batch(
        self, images: list[Image.Image], prompts: list[str], max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Generation | None]:
        """`generate`, in parts where the GPU's memory is too small for all; None where one page is too much."""
        if not images:
            return []
        try:
            return self.generate(images, prompts, max_new_tokens)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                return [None]
        # Outside of the handler: the exception holds what has to be freed.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(images) // 2
        halves = ((images[:half], prompts[:half]), (images[half:], prompts[half:]))
        return [answer for part in halves for answer in self.answer_batch(*part, max_new_tokens)]

    def generate(
        self, images: list[Image.Image], prompts: list[str], max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Generation]:
        """Answer one batch of RGB pages, each with its own whole prompt."""
        limits = {"max_new_tokens": max_new_tokens, "max_seconds": self.max_seconds}
        guard = {"no_repeat_ngram": self.no_repeat_ngram, "window": self.no_repeat_window}
        try:
            return generate(self.model, self.processor, images, prompts, **limits, **guard)
        except PromptError as error:  # what only the tokenizer knows
            raise UsageError(str(error)) from None

    def prompt(self, task: str, prompt: str | None = None) -> str:
        """The whole prompt of a task. Raises `UsageError` on an unknown task, a missing prompt, or one that holds a
        control token or `<image>` twice."""
        return asked_prompt(task, prompt, self.prompts)


def _again(page: ReadBefore) -> LoadedPage | None:
    """None for a page that was not asked about, and for one whose file is gone."""
    try:
        return page.load() if page.asked else None
    except WorkError:
        return None


def is_blank(image: Image.Image) -> bool:
    """Whether a page in RGB is of a single colour: nothing is to be read on it, and a model would make something up."""
    return all(high - low <= BLANK_RANGE for low, high in image.getextrema())
