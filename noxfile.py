import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
TOOLS = {
    line.split("==")[0]: line
    for line in nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["dev"]
    if "==" in line
}


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the installed package; arguments go to pytest."""
    session.install(".[plot,test]")
    session.run("pytest", *session.posargs)


@nox.session(python="3.10")
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest supported NumPy."""
    session.install(".[test]", "numpy==1.26.*")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style of Python and C++."""
    session.install(TOOLS["ruff"], TOOLS["clang-format"])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = session.run("git", "ls-files", "*.cpp", "*.hpp", external=True, silent=True)
    session.run("clang-format", "--dry-run", "--Werror", *str(sources).split())


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode."""
    session.install(".", TOOLS["mypy"])
    session.run("mypy")


@nox.session
def asan(session: nox.Session) -> None:
    """Run the tests in a debug build with AddressSanitizer and UBSan."""
    session.run("make", "asan", external=True)
