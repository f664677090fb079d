"""The rooms of the house: imports run one way, also those inside functions and under TYPE_CHECKING."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Each imports from those before it alone; the names are folders or files of ocr2_hf.
ORDER = (
    "errors",
    "processors",
    "decoding",
    "document",
    "plots",
    "data",
    "evaluation",
    "recipe",
    "modeling",
    "reading",
    "statements",
)
ORDER += ("publishing", "training", "planning", "benchmark", "commands", "__main__")


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def imports(repo) -> dict[str, set[str]]:
    """Module -> modules of this repository that it imports."""
    paths = {module_of(path, repo): path for top in ("ocr2_hf", "data_scripts") for path in (repo / top).rglob("*.py")}
    known = set(paths) - {"ocr2_hf"}  # which hands names on, when they are asked for

    def found(name: str) -> str | None:
        return name if name in known else name.rpartition(".")[0] if name.rpartition(".")[0] in known else None

    return {module: {found(name) for name in imported(paths[module])} - {None, module} for module in known}


def room(module: str) -> str:
    name = module.split(".")[1]
    return "recipe" if name.startswith("recipe") else name


def test_no_circles(imports):
    """A module that nothing left imports is taken away, until none is left or those left import each other."""
    left = {module: set(wanted) for module, wanted in imports.items()}
    while free := [module for module, wanted in left.items() if not wanted]:
        for module in free:
            del left[module]
        for wanted in left.values():
            wanted.difference_update(free)
    assert not left, f"these import each other: {sorted(left)}"


def test_imports_run_one_way(imports):
    back = [
        f"{module} imports {wanted}"
        for module, all_wanted in imports.items()
        for wanted in all_wanted
        if module.startswith("ocr2_hf.") and wanted.startswith("ocr2_hf.")
        if ORDER.index(room(wanted)) > ORDER.index(room(module))
    ]
    assert not back
    assert not [m for m, all_wanted in imports.items() if room_of_scripts(m, all_wanted)], "only commands know scripts"


def room_of_scripts(module: str, wanted: set[str]) -> bool:
    ours = module.startswith("ocr2_hf.") and room(module) != "commands"
    return ours and any(not name.startswith("ocr2_hf") for name in wanted)


def test_a_class_has_a_name_of_its_own(repo):
    """Four were called Block, three Page."""
    places: dict[str, list[str]] = {}
    for top in ("ocr2_hf", "data_scripts"):
        for path in (repo / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(path.relative_to(repo).as_posix())
    assert len(places) > 150 and not {name: paths for name, paths in places.items() if len(paths) > 1}


def test_tests_import_no_tests(repo):
    named = {path: imported(path) for path in (repo / "tests").rglob("*.py")}
    assert not [path.name for path, names in named.items() if any(name.startswith("test_") for name in names)]


@pytest.mark.parametrize("room", ["document", "evaluation"])
def test_rooms_without_torch_and_datasets(repo, room):
    """All but the modules of `evaluate`, which loads them itself."""
    paths = [path for path in (repo / "ocr2_hf" / room).rglob("*.py") if "metrics" not in path.parts]
    modules = ", ".join(sorted(module_of(path, repo) for path in paths))
    heavy = {"torch", "datasets", "transformers", "evaluate", "scipy", "matplotlib", "pandas"}
    look = f"import {modules}, sys; print({heavy} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=repo)
    assert run.stdout.strip() == "set()"


def test_what_a_wrong_call_needs_is_light(repo):
    """The files, tasks and folders of a call are checked before torch, datasets or pandas are loaded."""
    modules = ("data.tasks", "reading", "reading.inputs", "reading.resume_log", "reading.results")
    look = f"import {', '.join(f'ocr2_hf.{name}' for name in modules)}, sys"
    look += "; print({'torch', 'datasets', 'transformers', 'pandas'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=repo)
    assert run.stdout.strip() == "set()"


def test_statements_are_found_under_the_name_they_had_first():
    from ocr2_hf.reading.statements import scores  # `python -m` of it was documented

    assert Path(scores.__file__).parent.name == "statements" and callable(scores.main)
