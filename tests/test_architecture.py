"""The rules of ARCHITECTURE.md: who may see whom, how long things may be, and what an object file may export."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnfast as rf
from rnnfast import _core
from tests.support.sources import CPP, PACKAGE, ROOT, objects

pytestmark = pytest.mark.skipif(not CPP.is_dir(), reason="needs the checkout, not only the installed package")

# From the bottom up; a room sees what stands below it. Rooms of one level do not see each other.
LEVELS = [
    {"_core", "arrays"},
    {"checks"},
    {"_ops"},
    {"atomic", "copies", "describe", "metadata", "outline"},
    {"config", "init", "params", "schedules", "text"},
    {"layers", "limits", "losses", "metrics", "optim", "sampling", "data", "checkpoint"},
    {"gradcheck", "history", "processes", "progress", "stepping", "tasks", "training_state"},
    {"evaluation", "following", "sharding"},
    {"train"},
    {"callbacks", "loggers"},
    {"models"},
    {"forecasting"},
    {"analysis", "interop", "plot", "rl", "sklearn"},
    {"report"},
    {"convert", "demo"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
NAMED_FOR_TYPES = {("rnnfast.callbacks", "rnnfast.train")}  # a callback is given the run that calls it
ALONE = {"reference"}
BRIDGED = {"sklearn": {"sklearn", "scipy", "threadpoolctl"}}  # what scikit-learn itself needs comes with it
LEAVES = {"analysis", "convert", "demo", "cli", "plot", "interop", "report", "rl", "sklearn", "__main__"}

INCLUDES = {
    "base": {"base"},
    "cpu": {"cpu", "base"},
    "simd": {"simd"},
    "rnn": {"rnn", "cpu", "base"},
    "nn": {"nn", "cpu", "base"},
    "generation": {"generation", "rnn", "nn", "cpu", "base"},
    "bind": {"bind", "generation", "nn", "rnn", "cpu", "base"},
}
SIMD_MAY_SEE = {"base/dims.hpp", "base/cells.hpp", "base/training.hpp", "cpu/kernels.hpp", "cpu/nn_kernels.hpp"}
SIMD_HEADERS = {"stdint.h", "stddef.h", "string.h", "math.h", "immintrin.h", "arm_neon.h"}
VECTOR_HEADERS = {"immintrin.h", "arm_neon.h"}


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def cpp_files(folder: Path = CPP) -> list[Path]:
    return sorted([*folder.rglob("*.cpp"), *folder.rglob("*.hpp")])


def room_of(module: str) -> str:
    """``rnnfast.layers.recurrent`` stands in the room ``layers``."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    place = PACKAGE.parent.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or place.is_dir()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module a file imports, absolute, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node, at_import in walk(tree, True):
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""]))
            for alias in node.names:
                part = f"{source}.{alias.name}"
                whole = source not in ("rnnfast", "rnnfast._core") and not is_module(part)
                yield source if whole else part, at_import


def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, at_import
    checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or checking
    for child in ast.iter_child_nodes(node):
        yield from walk(child, at_import and not inside)


def test_a_room_sees_only_the_rooms_below() -> None:
    wrong = []
    for path in python_files():
        room = room_of(module_of(path))
        for name, at_import in imports(path):
            other = room_of(name) if name.split(".")[0] == "rnnfast" else ""
            if not room or not other or other == room or not at_import:
                continue
            if room in ALONE or LEVEL[other] >= LEVEL[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_no_circle_of_imports() -> None:
    """Imports for annotations alone count too."""
    seen: dict[str, set[str]] = {}
    known = {module_of(path) for path in python_files()}
    for path in python_files():
        names = {name for name, _ in imports(path)}
        own = module_of(path)
        seen[own] = {name for name in names & known if name not in own.split(".")[:1] and name != own}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle: {' -> '.join([*above[above.index(module) :], module])}"
        if module in done:
            return
        for other in sorted(seen[module]):
            visit(other, (*above, module))
        done.add(module)

    for module in sorted(seen):
        visit(module, ())


def test_every_room_is_known() -> None:
    rooms = {room_of(module_of(path)) for path in python_files()} - {""}
    assert rooms <= set(LEVEL) | ALONE


def test_only_ops_sees_the_core() -> None:
    """Only tests of kernels bypass the checks of ``_ops``."""
    for path in python_files():
        names = {name for name, _ in imports(path)}
        if any(name.startswith("rnnfast._core") for name in names):
            assert room_of(module_of(path)) == "_ops", path.relative_to(ROOT)


def test_nobody_imports_the_leaves() -> None:
    for path in python_files():
        room = room_of(module_of(path))
        for name, at_import in imports(path):
            other = room_of(name) if name.startswith("rnnfast.") else ""
            if other in LEAVES and other != room and at_import:
                assert room in LEAVES, f"{path.relative_to(ROOT)} imports {name}"


def test_third_parties_wait_until_they_are_used() -> None:
    """At import only numpy and the standard library are touched; a bridge imports the library it leads to."""
    import sys

    for path in python_files():
        package, _, room = module_of(path).partition(".interop.")
        bridged = {room.split(".")[0]} if package == "rnnfast" else BRIDGED.get(room_of(module_of(path)), set())
        for name, at_import in imports(path):
            top = name.split(".")[0]
            known = top in sys.stdlib_module_names or top in {"numpy", "rnnfast"} | bridged
            assert known or not at_import, f"{path.relative_to(ROOT)} imports {name} at import"


def test_nothing_is_relative() -> None:
    """Absolute imports only, so that a file says where things come from."""
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path.relative_to(ROOT)


def test_tests_share_through_support_only() -> None:
    """A test module imports no other one, and whatever else lies in ``tests`` is shared."""
    folder = ROOT / "tests"
    others = {path.name for path in folder.glob("*.py") if not path.name.startswith("test_")}
    assert others == {"conftest.py"}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert not re.match(r"(tests\.)?test_|tests\.conftest", name), f"{path.name} imports {name}"


def included(path: Path) -> Iterator[tuple[str, bool]]:
    """The includes of a C++ file: (path below cpp/, True) for its own, (header, False) for the system's."""
    for kind, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.M):
        own = kind == '"' and (path.parent / name).exists()
        yield ((path.parent / name).resolve().relative_to(CPP).as_posix(), True) if own else (name, False)


def test_a_folder_includes_only_what_it_may() -> None:
    for path in cpp_files():
        folder = path.relative_to(CPP).parts[0]
        for name, own in included(path):
            if own:
                allowed = name.split("/")[0] in INCLUDES[folder] or (folder == "simd" and name in SIMD_MAY_SEE)
                assert allowed, f"{path.relative_to(ROOT)} includes {name}"
            elif name.startswith("pybind11"):
                assert folder == "bind", f"{path.relative_to(ROOT)} includes {name}"


def test_vector_code_sees_c_headers_only() -> None:
    for path in cpp_files(CPP / "simd"):
        for name, own in included(path):
            assert own or name in SIMD_HEADERS, f"{path.name} includes {name}"
        text = code_of(path)
        for word in ("throw", "try", "new", "delete", "virtual", "thread_local", "#pragma omp", "malloc", "printf"):
            assert not re.search(rf"(?<!\w){re.escape(word)}\b", text), f"{path.name} uses {word}"
        assert not re.search(r"std::(?!u?int\d+_t|size_t|ptrdiff_t)", text), f"{path.name} uses the standard library"


def test_drivers_see_no_vectors() -> None:
    for folder in ("rnn", "nn", "bind", "base"):
        for path in cpp_files(CPP / folder):
            assert not VECTOR_HEADERS & {name for name, _ in included(path)}, path.name


def test_two_files_start_threads() -> None:
    starts = r"std::thread\b(?!::)|pthread_create|std::async|omp\.h|#pragma omp"
    users = {p.relative_to(CPP).as_posix() for p in cpp_files() if re.search(starts, code_of(p))}
    assert users == {"cpu/own_threads.cpp", "cpu/lookout.cpp"}


def test_one_file_finds_openmp() -> None:
    """No OpenMP is linked; the runtime of the process is called through what one file looks up."""
    users = {p.relative_to(CPP).as_posix() for p in cpp_files() if re.search(r"dlopen|dlsym|GOMP_", p.read_text())}
    assert users == {"cpu/openmp.cpp"}
    assert "OpenMP" not in (CPP / "CMakeLists.txt").read_text()


def code_of(path: Path) -> str:
    """A C++ file without comments and strings."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def exceptions() -> str:
    """The part of ARCHITECTURE.md that lists what is over budget, and why."""
    return (ROOT / "ARCHITECTURE.md").read_text().partition("## Budgets")[2]


def length_of(path: Path) -> int:
    """Lines of a file, those of docstrings left out: the model classes describe every argument in full."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return len(text.splitlines())
    excess = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            document = node.body[0]
            excess += (document.end_lineno or 0) - document.lineno + 1
    return len(text.splitlines()) - excess


def test_files_are_short() -> None:
    scripts = [path for folder in ("bench", "examples", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    excused = exceptions()
    for path in (*cpp_files(), *python_files(), *scripts):
        count = length_of(path)
        name = path.relative_to(ROOT).as_posix()
        assert count <= 400 or name in excused, f"{name} has {count} lines of 400"


def test_python_functions_are_short() -> None:
    """A function has at most fifty lines, its docstring not counted."""
    excused = exceptions()
    for path in (*python_files(), *sorted((ROOT / "tests").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            document = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            excess = 0 if document is None else (document.end_lineno or 0) - document.lineno + 1
            length = (node.end_lineno or 0) - node.lineno + 1 - excess
            assert length <= 50 or node.name in excused, f"{path.name}: {node.name} has {length} lines"


def cpp_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function body, found by the parenthesis before its brace."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    control = r"(?:if|for|while|switch|catch|else)\b"
    for match in re.finditer(r"\)(?:\s*(?:const|noexcept|override|mutable|->\s*[\w:<>*& ]+))*\s*\{", text):
        opening, depth = match.start(), 0
        for start in range(opening, -1, -1):
            depth += {")": 1, "(": -1}.get(text[start], 0)
            if depth == 0:
                break
        head = text[:start].rstrip().rpartition("\n")[2].strip() or "?"
        if re.search(rf"{control}(?:\s+constexpr)?$", head):
            continue
        depth, end = 0, match.end() - 1
        for end in range(match.end() - 1, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                break
        yield head.split(" ")[-1], text.count("\n", start, end) + 1


def test_cpp_functions_are_short() -> None:
    """A function has at most fifty lines, a kernel sixty."""
    excused = exceptions()
    for path in cpp_files():
        budget = 60 if path.parent.name == "simd" else 50
        for name, length in cpp_functions(path):
            assert length <= budget or name in excused, f"{path.name}: {name} has {length} lines of {budget}"


def test_versions_are_equal() -> None:
    declared = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert declared
    assert rf.__version__ == _core.__version__ == declared[1]


def test_an_instruction_set_exports_nothing_but_its_own() -> None:
    """A symbol outside its namespace could be merged with another's and run instructions the machine lacks."""
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    found = objects()
    if not found:
        pytest.skip("no build tree with object files: set RNNFAST_BUILD_DIR, or build below the checkout")
    for isa, path in found:
        assert not foreign_symbols(path, isa), path


def foreign_symbols(path: Path, isa: str) -> list[str]:
    """The symbols an object file exports outside the namespace of its instruction set."""
    listing = subprocess.run(["nm", "-C", "--defined-only", path], capture_output=True, text=True, check=True)
    symbols = [line.split(" ", 2)[1:] for line in listing.stdout.splitlines()]
    own = re.compile(rf"(?:.* for )?rnnfast::{isa}::|DW\.ref\.")
    return [name for kind, name in symbols if kind not in "trdbn" and not own.match(name)]


@pytest.mark.slow
def test_unoptimised_objects_share_no_symbols(tmp_path: Path) -> None:
    """A debug build inlines nothing: whatever the vector code takes from elsewhere shows up as a shared symbol."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler or not shutil.which("nm"):
        pytest.skip("needs a C++ compiler and nm")
    macros = ["RNNFAST_ISA=baseline", 'RNNFAST_VEC_HEADER="vec_baseline-inl.hpp"', "RNNFAST_VECTOR_BYTES=16"]
    flags = ["-std=c++17", "-O0", *(f"-D{macro}" for macro in macros), "-ffp-contract=off"]
    result = tmp_path / "kernels.o"
    subprocess.run([compiler, *flags, "-c", CPP / "simd" / "kernels.cpp", "-o", result], check=True)
    assert not foreign_symbols(result, "baseline")


def test_make_is_the_one_definition_of_a_test() -> None:
    """Whoever runs the tests calls make, so that the same tests run with the same packages and options."""
    callers = [ROOT / "noxfile.py", ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").glob("*.yml")]
    for path in filter(Path.exists, callers):
        assert "make" in path.read_text()
        assert not re.search("pytest|pip install", path.read_text()), path.relative_to(ROOT)
    assert (ROOT / "Makefile").read_text().count("-m pytest") == 1
