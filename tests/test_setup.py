"""What setup.cfg, the Makefile and .ci/run promise: dependencies, tested ranges, the `ocr2` script."""

import ast
import configparser
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

from ocr2_hf.evaluation.omnidocbench.normalization import PYLATEXENC

EXTRAS = {"tables", "deepspeed", "flash", "vision", "onnx", "omnidocbench", "tensorboard", "dev"}


@pytest.fixture(scope="module")
def setup_cfg(repo):
    parser = configparser.ConfigParser()
    parser.read(repo / "setup.cfg", encoding="utf-8")
    return parser


def requirements(text: str) -> list[Requirement]:
    lines = (line.strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def extras(setup_cfg) -> dict[str, list[Requirement]]:
    return {name: requirements(text) for name, text in setup_cfg["options.extras_require"].items()}


def test_tested_ranges(setup_cfg):
    ranges = {r.name: r.specifier for r in requirements(setup_cfg["options"]["install_requires"])}
    for inside in ("5.17.0", "5.24.0"):
        assert inside in ranges["transformers"]
    for outside in ("5.16.1", "5.25.0"):
        assert outside not in ranges["transformers"]
    assert "2.10.0" in ranges["torch"]
    assert "2.13.0" in ranges["torch"]
    assert "2.14.0" not in ranges["torch"]
    assert setup_cfg["options"]["python_requires"] == ">=3.11"
    assert set(extras(setup_cfg)) == EXTRAS


def test_torch_is_bound_wherever_it_is_named(setup_cfg):
    """A looser range anywhere would let pip bring another build of torch."""
    everywhere = requirements(setup_cfg["options"]["install_requires"])
    everywhere += [r for listed in extras(setup_cfg).values() for r in listed]
    assert [str(r.specifier) for r in everywhere if r.name == "torch"] == ["<2.14,>=2.10"]


def test_the_reader_of_formulas_is_the_official_scorers(setup_cfg):
    (pinned,) = extras(setup_cfg)["omnidocbench"]
    assert str(pinned) == f"pylatexenc=={PYLATEXENC}"


def test_installed_versions_are_in_range(setup_cfg):
    declared = requirements(setup_cfg["options"]["install_requires"]) + extras(setup_cfg)["dev"]
    for requirement in declared:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            pytest.fail(f"{requirement} is declared and not installed")
        assert requirement.specifier.contains(installed), f"{requirement.name} {installed}: not {requirement}"


@pytest.mark.parametrize("folder", ["ocr2_hf", "data_scripts", "tests"])
def test_every_import_is_declared(repo, setup_cfg, folder):
    """A library that is there only because another one needs it is missing on somebody else's machine."""
    declared = requirements(setup_cfg["options"]["install_requires"])
    for name, listed in extras(setup_cfg).items():
        declared += listed if folder == "tests" or name != "dev" else []
    allowed = {canonicalize_name(r.name) for r in declared} | {"ocr2-hf"}
    allowed |= {"huggingface-hub", "tokenizers"}  # parts of transformers' own interface, versioned by it
    if folder == "tests":
        allowed |= {"packaging", "setuptools"}
    owners = packages_distributions()
    ours = {"ocr2_hf", "data_scripts", "tests", "helpers"}
    missing = {}
    for path in (repo / folder).rglob("*.py"):
        for module in imported_modules(path) - set(sys.stdlib_module_names) - ours:
            names = {canonicalize_name(owner) for owner in owners.get(module, [module])}
            if not names & allowed:
                missing.setdefault(module, path.relative_to(repo).as_posix())
    assert not missing, f"imported and not declared in setup.cfg: {missing}"


def imported_modules(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_console_script_exists(setup_cfg):
    name, target = setup_cfg["options.entry_points"]["console_scripts"].strip().split(" = ")
    module, function = target.split(":")
    assert name == "ocr2"
    assert callable(getattr(import_module(module), function))


def package_data(repo: Path, package: str, pattern: str) -> list[Path]:
    return list((repo / package.replace(".", "/")).glob(pattern.strip()))


def test_package_data_is_where_setup_looks(repo, setup_cfg):
    for package, patterns in setup_cfg["options.package_data"].items():
        for pattern in patterns.split(","):
            assert package_data(repo, package, pattern), f"{package}: no {pattern}"


def test_data_scripts_are_installed_with_the_rest(repo, setup_cfg):
    """`ocr2 build` and its kin must work without a checkout."""
    patterns = setup_cfg["options.packages.find"]["include"].split()
    found = set(find_packages(str(repo), include=patterns))
    assert {"ocr2_hf", "data_scripts", "data_scripts.formats", "data_scripts.synthetic"} <= found
    assert not [name for name in found if name.startswith(("tests", "recipes"))]


def test_every_package_has_an_init(repo, setup_cfg):
    """`find:` leaves out a folder without __init__.py: fine in the checkout, missing once installed."""
    listed = setup_cfg["options.package_data"].items()
    data = {
        path
        for package, patterns in listed
        for each in patterns.split(",")
        for path in package_data(repo, package, each)
    }
    for path in {*(repo / "ocr2_hf").rglob("*.py"), *(repo / "data_scripts").rglob("*.py")} - data:
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} has modules and no __init__.py"


def test_license_is_apache(repo, setup_cfg):
    assert setup_cfg["metadata"]["license"] == "Apache-2.0"
    assert re.search(r"Apache License\s+Version 2\.0", (repo / "LICENSE").read_text(encoding="utf-8"))


def test_pyproject_is_the_build_system_and_tools_only(repo):
    content = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(content) == {"build-system", "tool"}
    assert content["tool"]["ruff"]["line-length"] == 120


def test_makefile_and_ci(repo):
    """`make -n` says what would run: CI is `make test`, and that is lint and every test."""
    assert (repo / ".ci/run").read_text(encoding="utf-8").endswith("\nexec make test\n")
    assert os.access(repo / ".ci/run", os.X_OK)
    plan = subprocess.run(["make", "-n", "test"], cwd=repo, capture_output=True, text=True, check=True).stdout
    assert re.search(r"ruff check \.$", plan, re.MULTILINE)
    assert re.search(r"-m pytest -n 2 --dist loadfile --no-loadscope-reorder\s*$", plan, re.MULTILINE)
    for target in ("slow", "quickstart", "lint", "clean"):
        subprocess.run(["make", "-n", target], cwd=repo, capture_output=True, check=True)


def test_make_refuses_an_old_python(repo, tmp_path):
    old = tmp_path / "python3"
    # What the Makefile asks of an interpreter is sys.version_info: this one says 3.10.
    pretend = "import sys; sys.version_info = (3, 10); exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n', encoding="utf-8")
    old.chmod(0o755)
    command = ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    result = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "Python 3.11 or newer" in result.stderr
    assert not (tmp_path / "venv").exists()
