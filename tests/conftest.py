"""Every test runs offline, on the CPU, with caches of its own: nothing of the user's is read or written."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

# Libraries read these when they are first imported, so they are set before any test module loads.
_HOME = os.environ.get("OCR2_TESTS_HOME") or tempfile.mkdtemp(prefix="ocr2-tests-")
os.environ.update(
    OCR2_TESTS_HOME=_HOME,  # one for all processes of a run
    HF_HOME=_HOME,
    HF_DATASETS_CACHE=f"{_HOME}/datasets-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    CUDA_VISIBLE_DEVICES="",
)

# A shell's background jobs ignore Ctrl-C, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

from helpers import fork_server  # noqa: E402
from helpers.commands import environment  # noqa: E402
from helpers.curves import blank_curves  # noqa: E402

# Files that take a minute or more start first, so that no process is left alone with one of them at the end.
LONG = (
    "multiprocess",
    "resume",
    "end_to_end",
    "preemption",
    "stages",
    "vision_cache",
    "onnx",
    "guard",
    "hub_models",
    "precision",
    "trainer",
    "train_command",
    "hard_pages",
    "plan",
    "evaluate_processes",
    "adapters",
    "bench",
    "step_memory",
)

_SHARED: dict[str, str] = {}
ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """The processes of pytest-xdist fork theirs from one server."""
    if "fork_server" not in _SHARED and "OCR2_TESTS_EXECUTE" not in os.environ:
        _SHARED["fork_server"] = fork_server.start(environment())
    node.workerinput |= _SHARED


def pytest_configure(config: pytest.Config) -> None:
    if "fork_server" in getattr(config, "workerinput", {}):
        fork_server.use(environment(), config.workerinput["fork_server"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collections that every training asks for need not walk over it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout: commands in tests run from here."""
    return ROOT


@pytest.fixture(scope="session")
def real_pages() -> Path:
    """The folder of real pages; tests that want it skip on a clone without it."""
    folder = Path(os.environ.get("OCR2_REAL_PAGES", SHARED_DATA))
    if not folder.is_dir():
        pytest.skip(f"no real pages at {folder} (set OCR2_REAL_PAGES)")
    return folder


@pytest.fixture(scope="session")
def real_checkpoint() -> Path:
    """A small model with the real tokenizer's twin, whose encoding adds no BOS."""
    from helpers.real_checkpoint import real_checkpoint

    return real_checkpoint(Path(_HOME))


@pytest.fixture(autouse=True)
def quick_curves(request) -> Iterator[None]:
    with nullcontext() if request.path.name == "test_curves.py" else blank_curves():
        yield


@pytest.fixture
def datasets_cache(tmp_path, monkeypatch) -> Path:
    """A private datasets cache for one test, seen by this process and by the commands it starts."""
    import datasets

    cache = tmp_path / "datasets-cache"
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    return cache
