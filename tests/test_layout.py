"""The house: which room may import which, where files may lie, and what a wheel of it holds."""

import ast
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("twin", "ingest", "analytics", "graphql", "rest", "sim")
ASSETS = {"rest": {"console"}, "graphql": {"graphiql"}}
MAY_IMPORT = {
    "twin": set(),
    "ingest": {"twin"},
    "analytics": {"twin"},
    "sim": {"twin", "ingest.adapter", "ingest.message", "ingest.source_state"},
    "graphql": {"twin", "analytics", "sim", "ingest"},
    "rest": {"twin", "analytics", "sim", "ingest", "graphql"},
}
TABLES = {"twin/unit_table.py"}
# fmt: off
HEAVY = {
    "aiomqtt", "amqtt", "asyncio", "click", "duckdb", "graphql", "httpx", "numpy", "orjson", "paho",
    "pandas", "pint", "pyarrow", "pydantic", "rich", "starlette", "strawberry", "uvicorn", "uvloop",
    "websockets", "yaml",
}
# fmt: on


def modules(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*.py") if path.is_file())


def imports(path: Path, room: str | None) -> Iterator[str]:
    """What of our own a module imports: `twin.graph`, or `cli` at the root; also what it imports late or for types."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name[9:] for alias in node.names if alias.name.startswith("iotsense."))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0:
                base = module[9:] if module.startswith("iotsense.") else "" if module == "iotsense" else None
            elif node.level == 1 and room:
                base = f"{room}.{module}".rstrip(".")
            else:
                base = module
            if base is not None:
                yield from (
                    [base] if base and base not in ROOMS else [f"{base}.{a.name}".lstrip(".") for a in node.names]
                )


def tracked() -> list[Path]:
    """What git knows of, and new files that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(line) for line in listed.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{room}/{path.name} imports {name}"
        for path in modules(ROOT / room)
        for name in imports(path, room)
        if name.partition(".")[0] not in allowed and name not in allowed
    ]
    assert wrong == []


def test_the_check_of_imports_sees_through_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "import iotsense.rest.app\nfrom ..graphql import app\nfrom .near import a\nfrom ..cli import main\n"
        "from iotsense.sim.line import b\nfrom iotsense import service\nimport json\nfrom os import path\n"
        "def late():\n    from ..rest.problem import c\n"
    )
    found = {"rest.app", "graphql.app", "twin.near", "cli", "sim.line", "service", "rest.problem"}
    assert set(imports(path, "twin")) == found


def test_rooms_have_no_init() -> None:
    # graphql/__init__.py would shadow graphql-core whenever the checkout is on sys.path.
    assert [room for room in ROOMS if (ROOT / room / "__init__.py").exists()] == []


def test_rooms_are_flat() -> None:
    nested = {
        path.as_posix()
        for path in tracked()
        if path.parts[0] in ROOMS and len(path.parts) > 2 and path.parts[1] not in ASSETS.get(path.parts[0], set())
    }
    assert nested == set()


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    names = [path for folder in (ROOT, *(ROOT / room for room in ROOMS)) for path in modules(folder)]
    wrong = [str(path) for path in names if path.stem in sys.stdlib_module_names and path.stem != "__main__"]
    assert wrong == []


def test_files_and_functions_can_be_held_in_the_head() -> None:
    long = []
    for path in tracked():
        if path.suffix != ".py" or path.parts[0] in ("tests", "benchmarks") or path.as_posix() in TABLES:
            continue
        text = (ROOT / path).read_text("utf-8")
        if text.count("\n") > 420:
            long.append(f"{path} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 60:
                    long.append(f"{path}: {node.name} has {lines} lines")
    assert long == []


def test_every_package_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["packages"]
    with_modules = {path.parts[0] for path in tracked() if path.suffix == ".py" and len(path.parts) == 2}
    expected = with_modules - {"tests", "benchmarks", "scripts"}
    assert sorted(listed) == sorted(["iotsense", *(f"iotsense.{room}" for room in expected)])
    assert expected == set(ROOMS)


def test_every_extra_is_in_all() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(everything.removeprefix("iotsense[").removesuffix("]").split(","))
    # What has no wheels would keep those who lack a compiler from installing all the others.
    assert named == set(extras) - {"all", "test", "lint", "coap-dtls"}


def test_importing_it_brings_nothing_heavy() -> None:
    code = "import sys; before = set(sys.modules); import iotsense; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], cwd="/", check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "iotsense" in loaded
    assert "iotsense." not in result.stdout
    assert loaded & HEAVY == set()


def test_starting_the_service_loads_no_optional_library() -> None:
    code = (
        "import sys, iotsense.service, iotsense.cli; "
        "print(*(m for m in ('aiomqtt', 'paho', 'amqtt', 'pandas', 'pyarrow') if m in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd="/", check=True, capture_output=True, text=True)
    assert result.stdout.split() == []


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what git knows, built apart from the checkout, so that no build leftovers get in."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((ROOT / path).read_bytes())
    out = source / "dist"
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)]
    result = subprocess.run(command, cwd=source.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (built,) = out.glob("*.whl")
    return built


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    inside = {name for name in names if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in inside} == {"iotsense"}
    expected = {
        f"iotsense/{path.as_posix()}"
        for path in tracked()
        if (len(path.parts) == 1 and path.suffix == ".py")
        or path.name == "py.typed"
        or (path.parts[0] in ROOMS and (path.suffix == ".py" or path.parts[1] in ASSETS.get(path.parts[0], set())))
    }
    examples = {name for name in inside if name.startswith("iotsense/examples/")}
    assert inside - examples == expected
    assert "iotsense/py.typed" in inside
    assert any(name.startswith("iotsense/rest/console/") and name.endswith(".html") for name in inside)
    assert any(name.startswith("iotsense/graphql/graphiql/") and name.endswith(".js") for name in inside)
    assert "iotsense/examples/bottling-line/line.yaml" in examples
    assert any(name.endswith("/LICENSE") for name in names)


def test_a_wheel_runs_from_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, system_site_packages=False, with_pip=False)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*/site-packages"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True, cwd=tmp_path)
    # The dependencies are ours; the package itself must come from the wheel, so the checkout's finder stays out.
    libraries = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    for entry in libraries.iterdir():
        if "iotsense" not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout

    where = run(str(python), "-c", "import iotsense; print(iotsense.__file__)").strip()
    assert Path(where).is_relative_to(site)
    assert "Commands:" in run(str(home / "bin" / "iotsense"), "--help")
    assert "Commands:" in run(str(python), "-m", "iotsense", "--help")
    starter = run(str(home / "bin" / "iotsense"), "init", str(tmp_path / "plant"))
    assert starter is not None
    run(str(home / "bin" / "iotsense"), "validate", str(tmp_path / "plant"))


# The verbs


def test_make_needs_nothing_to_be_told(tmp_path: Path) -> None:
    result = subprocess.run(["make", "-C", str(ROOT), "help"], check=True, capture_output=True, text=True)
    for verb in ("demo", "test", "bench", "lint", "services", "links", "clean"):
        assert f"make {verb} " in result.stdout


def test_the_link_tree_shows_all_rooms() -> None:
    subprocess.run(["make", "-C", str(ROOT), "links"], check=True, capture_output=True)
    links = ROOT / ".links" / "iotsense"
    assert all((links / room).is_dir() for room in ROOMS)
    assert (links / "__init__.py").samefile(ROOT / "__init__.py")


def test_ci_runs_the_tests() -> None:
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    assert "make test" in ci.read_text()


def test_an_old_python_is_refused_with_words(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = [str(ROOT / "scripts" / "install.sh"), str(tmp_path / "venv"), "test", str(tmp_path / "stamp")]
    result = subprocess.run(command, env=os.environ | {"PYTHON": str(old)}, capture_output=True, text=True)
    assert result.returncode == 1
    assert "needs Python 3.11 or newer" in result.stderr
    assert not (tmp_path / "stamp").exists()
