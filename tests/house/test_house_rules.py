"""The rules of the house, held as tests."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "baluarte"
#: the one file that unpickles, in a confined child process, after the user said --unsafe-pickle
PICKLES = SOURCE / "adapters" / "pickle_child.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

#: entry-point group -> the folder whose every file is one plug-in
PLUGIN_ROOMS = {
    "baluarte.models": "methods/models",
    "baluarte.readers": "methods/readers",
    "baluarte.searches": "methods/search",
    "baluarte.checks": "methods/checks",
    "baluarte.gates": "methods/gates",
    "baluarte.drift": "methods/drift",
    "baluarte.explain": "methods/explain",
    "baluarte.sources": "adapters/sources",
    "baluarte.sinks": "adapters/sinks",
    "baluarte.stores": "adapters/stores",
    "baluarte.keystores": "adapters/keystores",
    "baluarte.states": "adapters/states",
    "baluarte.signers": "adapters/signers",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("group", PLUGIN_ROOMS)
def test_every_plugin_file_has_its_line_and_every_line_its_file(group: str) -> None:
    lines = PROJECT["project"]["entry-points"][group]
    named = {target.split(":")[0] for target in lines.values()}
    folder = SOURCE / PLUGIN_ROOMS[group]
    prefix = "baluarte." + PLUGIN_ROOMS[group].replace("/", ".")
    files = {f"{prefix}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"}
    assert named == files


def test_no_entry_point_group_is_without_a_room() -> None:
    assert set(PROJECT["project"]["entry-points"]) == set(PLUGIN_ROOMS)


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("__init__.py")), ids=lambda p: str(p.parent.name)
)
def test_doorplates_hold_a_docstring_and_import_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    if path.parent != SOURCE:
        assert len(tree.body) == 1, f"{path} does more than say what the room is"


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    assert not [path for path in modules() if path.stem.strip("_") in empty]


def test_no_module_has_grown_past_what_a_reader_bears() -> None:
    long = {p.name: n for p in modules() if (n := len(p.read_text("utf-8").splitlines())) > 500}
    # A list of all that can be swapped is looked up, not read; it is one page on purpose.
    assert not long.keys() - {"ports.py"}


def test_nothing_in_the_product_unpickles_or_evaluates() -> None:
    bad = {"eval", "exec", "__import__"}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in bad, f"{path}:{node.lineno} calls {node.func.id}"
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert path == PICKLES or not names & {"pickle", "joblib", "shelve", "dill"}, path


def test_only_a_child_process_ever_loads_what_unpickles() -> None:
    child = "baluarte.adapters.pickle_child"
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module != child, path
                assert f"{node.module}.{node.names[0].name}" != child, path
            if isinstance(node, ast.Import):
                assert child not in [one.name for one in node.names], path


def loaded_by(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    return set(done.stderr.split())


def test_help_loads_no_numpy_and_neither_does_importing_the_package() -> None:
    assert not {"numpy", "rich", "msgspec"} & loaded_by(
        "from baluarte.apps.cli.main import main\nmain(['--help'])"
    )
    assert "baluarte.apps" not in loaded_by("import baluarte")


def test_every_public_module_says_what_it_is() -> None:
    silent = [p for p in modules() if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert not silent


def test_the_catalogue_of_dependencies_names_every_dependency() -> None:
    record = (ROOT / "docs/decisions/0002-dependencies.md").read_text("utf-8")
    wanted = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    names = {line.split(">")[0].split("[")[0].strip() for line in wanted}
    assert not [name for name in sorted(names) if f"`{name}`" not in record]


def test_locks_carry_hashes_and_no_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
