"""The checks of the Makefile, for every supported version of Python; make keeps the environments."""

import shlex
import shutil

import nox

nox.needs_version = ">=2024.4"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests", "oldest"]

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def make(session: nox.Session, target: str, **variables: str) -> None:
    session.run("make", target, *(f"{name}={value}" for name, value in variables.items()), external=True)


def test(session: nox.Session, version: str, venv: str, **variables: str) -> None:
    """Arguments after ``--`` are passed on."""
    if not shutil.which(f"python{version}"):
        session.skip(f"python{version} is not installed")
    make(session, "test", PYTHON=f"python{version}", VENV=venv, ARGS=shlex.join(session.posargs), **variables)


@nox.session
@nox.parametrize("version", PYTHONS)
def tests(session: nox.Session, version: str) -> None:
    """Run the tests in an environment for each version of Python."""
    test(session, version, f".venv-{version}")


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest supported Python and NumPy."""
    test(session, PYTHONS[0], ".venv-oldest", NUMPY="1.26.*")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style of Python and C++."""
    make(session, "lint")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode."""
    make(session, "types")


@nox.session
def asan(session: nox.Session) -> None:
    """Run the tests in a debug build with AddressSanitizer and UBSan."""
    make(session, "asan")


@nox.session
def frameworks(session: nox.Session) -> None:
    """Read what the newest versions of other frameworks write, each from an environment of its own."""
    make(session, "frameworks")
