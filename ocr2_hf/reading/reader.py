"""`DocumentReader`: a saved model that reads images and PDFs, with the prompts its recipe says it was trained with."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from PIL import Image

from ocr2_hf.data.collator import GenerationCollator, PromptError
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.pixels import Pixels
from ocr2_hf.data.tasks import PROMPTS, asked_prompt
from ocr2_hf.decoding import MAX_NEW_TOKENS, MAX_SECONDS, NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.document.page_files import LoadedPage, Pages, PageSource, Source, is_pdf, list_pages
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.generation import Generation, fitting_pages, generate
from ocr2_hf.modeling.load import load_merged, load_processor
from ocr2_hf.modeling.model_files import files_beside
from ocr2_hf.reading.look_ahead import look_ahead
from ocr2_hf.reading.onnx_model import is_onnx_folder, load_onnx_model
from ocr2_hf.reading.results import Page
from ocr2_hf.reading.started_pages import WatchedPage
from ocr2_hf.recipe_checks import checked, loop_guard_problems
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved

# Grey levels by which the pixels of a blank page may differ, as JPEG makes them.
BLANK_RANGE = 8
_SAMPLE = 64  # pixels a side that are looked at first

OnError = Callable[[PageSource, WorkError], None]


@dataclass(frozen=True)
class ReadBefore:
    """A page that an earlier run has read. It keeps its place in its batch, for answers can depend on neighbours: where
    one of them is still to be read, it is loaded and asked again, if it was `asked` (a blank one was not)."""

    load: Callable[[], LoadedPage]
    asked: bool


@dataclass(frozen=True)
class PreparedPage:
    """A page that is loaded, and what the model sees of it; None where it is blank."""

    loaded: LoadedPage
    seen: Image.Image | Pixels | None

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(self.loaded.image) + (size_of(self.seen) if isinstance(self.seen, dict) else 0)


def size_of(page: Image.Image | Pixels) -> int:
    """Bytes of an RGB page, or of what `DocumentReader.prepare` made of it."""
    if isinstance(page, Image.Image):
        return 3 * page.width * page.height
    return sum(tensor.nbytes for tensor in page.values())


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
        self._pixels = GenerationCollator(processor, levels=True).pixels

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

        Adapters are merged (`load_merged`). A directory that `ocr2 train` wrote is read with the prompts it was trained
        with, and with the guard against loops it was evaluated with where `no_repeat_ngram` and `no_repeat_window` say
        nothing else.
        """
        recipe = read_saved_recipe(name)
        ngram = recipe.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram
        window = recipe.no_repeat_window if no_repeat_window is None else no_repeat_window
        for problem in loop_guard_problems(ngram, window):
            raise UsageError(problem)
        if is_onnx_folder(name):
            model = load_onnx_model(name, device, dtype)
        else:
            model = load_merged(name, dtype, attn_implementation).requires_grad_(False)
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
        batch_size: int | None = None,
        pages: Pages | None = None,
    ) -> Page | list[Page]:
        """Read an image (PIL or a file) -> `Page`; a PDF, a multi-page TIFF or a list -> list of `Page`.

        `prompt` is asked in place of the task's own; for `locate` it is the text to find, for `custom` it is
        needed. `batch_size` pages are answered at once; None: as many as fit (`fitting_pages`). Of documents with
        several pages `pages` chooses, by number from 1: "3-7,9" or numbers. Raises `WorkError` naming a file that
        cannot be read, before or at its page.
        """
        prompt = self.prompt(task, prompt)
        many = isinstance(source, list | tuple)
        sources = [page for item in (source if many else [source]) for page in list_pages(item, pages)]
        read = [page for page, _ in self.stream(sources, prompt, max_new_tokens, batch_size)]
        return read if many or is_pdf(source) or len(read) > 1 else read[0]

    def stream(
        self,
        sources: Iterable[PageSource | ReadBefore],
        prompt: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int | None = None,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[Page, Image.Image]]:
        """Read pages as they come, `batch_size` (None: `fitting_pages`) at a time, in order, each with its image.

        `prompt` is what `self.prompt` gives. While a batch is answered the next is loaded: close the iterator where it
        is not taken to its end.

        Nothing comes of those that were read before. A page that cannot be read goes to `on_error` with the reason, and
        the others are read; without it the reason is raised. A batch that does not fit into the GPU's memory is halved.
        """
        on_error = on_error or _raise
        batch_size = batch_size or self.fitting_pages(max_new_tokens)
        batch: list[tuple[PageSource | ReadBefore, PreparedPage | None]] = []
        asked = 0
        ahead = look_ahead(sources, self._load, lambda page: page.size if page else 0, batch_size, _is_suspect)
        with closing(ahead):
            for source, loaded in ahead:
                try:
                    page = loaded()
                except WorkError as error:
                    on_error(source, error)
                    continue
                batch.append((source, page))
                asked += page.seen is not None if page else source.asked
                if asked in (0, batch_size):
                    yield from self._answer(batch, prompt, max_new_tokens, on_error)
                    batch, asked = [], 0
            yield from self._answer(batch, prompt, max_new_tokens, on_error)

    def _load(self, source: PageSource | ReadBefore) -> PreparedPage | None:
        """None for a page that was read before: it may not be needed once more."""
        return None if isinstance(source, ReadBefore) else self._prepared(source.load_for_reading())

    def _prepared(self, page: LoadedPage) -> PreparedPage:
        return PreparedPage(page, None if is_blank(page.image) else self.prepare(page.image))

    def _again(self, source: ReadBefore) -> PreparedPage | None:
        """None for a page that was not asked about, and for one whose file is gone."""
        try:
            return self._prepared(source.load()) if source.asked else None
        except WorkError:
            return None

    def _answer(
        self,
        batch: list[tuple[PageSource | ReadBefore, PreparedPage | None]],
        prompt: str,
        max_new_tokens: int,
        on_error: OnError,
    ) -> Iterator[tuple[Page, Image.Image]]:
        if all(isinstance(source, ReadBefore) for source, _ in batch):
            return
        batch = [(source, self._again(source) if isinstance(source, ReadBefore) else page) for source, page in batch]
        seen = [page.seen for _, page in batch if page and page.seen is not None]
        answers = iter(self.answer_batch(seen, [prompt] * len(seen), max_new_tokens))
        for source, page in batch:
            answer = next(answers) if page and page.seen is not None else None
            if isinstance(source, ReadBefore):
                continue
            if page.seen is None:
                told = {"finished": True, "tokens": 0, "seconds": 0.0, "blank": True}
            elif answer:
                told = {name: value for name, value in vars(answer).items() if name != "text"}
            else:
                on_error(source, WorkError(f"{source.name}: too little GPU memory to read this page, even alone"))
                continue
            text, loaded = answer.text if answer else "", page.loaded
            yield Page(text, loaded.width, loaded.height, source=source, **told), loaded.image

    def prepare(self, image: Image.Image) -> Image.Image | Pixels:
        """An RGB page as `generate` takes it too, in the model's dtype; any thread may ask for it ahead."""
        pixels = self._pixels(image).items()
        return {name: each.to(self.model.dtype) if each.is_floating_point() else each for name, each in pixels}

    def answer_batch(
        self, images: Sequence[Image.Image | Pixels], prompts: list[str], max_new_tokens: int = MAX_NEW_TOKENS
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
        self, images: Sequence[Image.Image | Pixels], prompts: list[str], max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Generation]:
        """Answer one batch of RGB pages, or of what `prepare` made of them, each with its own whole prompt."""
        limits = {"max_new_tokens": max_new_tokens, "max_seconds": self.max_seconds}
        guard = {"no_repeat_ngram": self.no_repeat_ngram, "window": self.no_repeat_window}
        try:
            return generate(self.model, self.processor, images, prompts, **limits, **guard)
        except PromptError as error:  # what only the tokenizer knows
            raise UsageError(str(error)) from None

    def fitting_pages(self, max_new_tokens: int = MAX_NEW_TOKENS) -> int:
        """How many pages a batch has where nobody says it."""
        return fitting_pages(self.model, self.processor, max_new_tokens)

    def prompt(self, task: str, prompt: str | None = None) -> str:
        """The whole prompt of a task. Raises `UsageError` on an unknown task, a missing prompt, or one that holds a
        control token or `<image>` twice."""
        return asked_prompt(task, prompt, self.prompts)


def _is_suspect(source: PageSource | ReadBefore) -> bool:
    return isinstance(source, WatchedPage) and source.is_suspect


def is_blank(image: Image.Image) -> bool:
    """Whether a page in RGB is of a single colour: nothing is to be read on it, and a model would make something up."""
    some = image.resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST)  # of most pages these tell
    return all(high - low <= BLANK_RANGE for seen in (some, image) for low, high in seen.getextrema())
