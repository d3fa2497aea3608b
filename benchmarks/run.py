"""`make bench`: runs the benchmarks, prints their figures, and keeps the latest of each in docs/benchmarks.json."""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from figure import Figure
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "benchmarks.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"

LONG = {"hostile"}
"""Those that take an hour run only if they are named."""

# The recorder of writes and syncs is the tests'; processes that a benchmark starts need it too.
TESTS = str(HERE.parent / "tests")
sys.path.append(TESTS)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> int:
    """Runs the chosen benchmarks; 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which ones: {', '.join(names())} (default: all but {', '.join(LONG)})",
    )
    parser.add_argument("--keep", action="store_true", help="write the results to docs/benchmarks.{json,md}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names())
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    console = Console()
    met = True
    for name in arguments.names or [name for name in names() if name not in LONG]:
        console.print(f"[bold]{name}[/] ({importlib.import_module('bench_' + name).__doc__.strip()})")
        started = time.perf_counter()
        figures: list[Figure] = importlib.import_module(f"bench_{name}").run()
        console.print(table(figures))
        console.print(f"took {time.perf_counter() - started:.0f} s, load {os.getloadavg()[0]:.1f}\n")
        met = met and all(figure.met for figure in figures)
        if arguments.keep:
            keep(name, figures)
    return 0 if met else 1


def table(figures: list[Figure]) -> Table:
    """The figures as they are printed."""
    shown = Table("what", "measured", "limit", "met", "CPU s", "control", box=None)
    for figure in figures:
        shown.add_row(*row(figure))
    return shown


def row(figure: Figure) -> list[str]:
    """One line: what, value, limit, whether it is kept, CPU seconds, control."""
    limit = f"≥ {figure.at_least:,g}" if figure.at_least is not None else ""
    limit = f"≤ {figure.at_most:,g}" if figure.at_most is not None else limit
    control = f"{number(figure.control)} ({figure.control_name})" if figure.control is not None else ""
    note = f" ({figure.note})" if figure.note else ""
    met = "yes" if figure.met else "NO"
    return [figure.name, f"{number(figure.value)} {figure.unit}{note}", limit, met, f"{figure.cpu_s:.1f}", control]


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def keep(name: str, figures: list[Figure]) -> None:
    """Puts the latest results into the docs."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {sys.version.split()[0]}",
        "figures": [figure.to_dict() for figure in figures],
    }
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    lines = ["# Benchmarks", "", "Latest results of `make bench ARGS=--keep`; the machines are shared and noisy.", ""]
    for bench, result in sorted(results.items()):
        lines += [f"## {bench}", "", f"{result['date']}, {result['machine']}", ""]
        lines += ["| what | measured | limit | met | CPU s | control |", "|---|---|---|---|---|---|"]
        for figure in result["figures"]:
            figure.pop("met")
            lines.append("| " + " | ".join(row(Figure(**figure))) + " |")
        lines.append("")
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    raise SystemExit(main())
