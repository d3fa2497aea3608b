"""Verbs of the definition language: validate, plan, apply, export, init, schema."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, console, plant_options, print_json, show_diff, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target
    from .twin.finding import Finding

PATHS = click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))


@click.command()
@PATHS
@click.option("--strict", is_flag=True, help="Warnings are errors, as they are for apply.")
@click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="JSON for editors and CI."
)
def validate(paths: Sequence[Path], strict: bool, format: str) -> int:
    """Check definitions: all mistakes of all files in one go."""
    from . import exit_codes
    from .twin.project import load_project

    project, findings = load_project(paths, strict=strict)
    if format == "json":
        print_json([finding.to_json() for finding in findings])
    else:
        _show_findings(findings)
        _show_verdict(project, findings)
    return exit_codes.OK if project is not None else exit_codes.DEFINITION


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(path_type=Path))
@target_options
@click.option(
    "--from",
    "store",
    metavar="STORE",
    help="Instead of definitions: what somebody changed in a graph database (neo4j) by hand.",
)
@click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="JSON for programs."
)
def plan(target: "Target", paths: Sequence[Path], store: str | None, format: str) -> None:
    """What applying definitions would change in the running graph."""
    if bool(paths) == bool(store):
        raise click.UsageError("say either which definitions to plan, or --from STORE")
    if store:
        found = {"findings": [], **_drift(target, store)}
    else:
        found = _plan(replace(target, missing="temporary"), _documents(paths))
    if format == "json":
        print_json(found)
        return
    for finding in found["findings"]:
        click.echo(_line(finding), err=True)
    show_diff(found["text"])


@click.command()
@PATHS
@target_options
@click.option("--allow-remove", is_flag=True, help="Let nodes go that have history.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def apply(target: "Target", paths: Sequence[Path], allow_remove: bool, yes: bool) -> None:
    """Make the running graph what the definitions say, all or nothing."""
    documents = _documents(paths)
    target = replace(target, missing="create")
    if not yes and _is_terminal():
        planned = _plan(target, documents)
        show_diff(planned["text"])
        if planned["empty"]:
            return
        click.confirm("Apply this?", abort=True)
        _apply(target, documents, allow_remove)
        click.echo("Applied.")
    else:
        show_diff(_apply(target, documents, allow_remove)["text"])


@connected
async def _plan(connection: "Connection", documents: dict[str, Any]) -> Any:
    return await connection.post("/definitions/plan", json=documents)


@connected
async def _drift(connection: "Connection", store: str) -> Any:
    return await connection.get(f"/stores/{store}/drift")


@connected
async def _apply(connection: "Connection", documents: dict[str, Any], allow_remove: bool) -> Any:
    return await connection.post("/definitions/apply", json={**documents, "allow_remove": allow_remove})


@click.command()
@plant_options
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of the terminal.")
def export(target: "Target", output: Path | None) -> None:
    """Write the applied definitions back as one YAML document."""
    text = _export(target)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {output}.", err=True)


@connected
async def _export(connection: "Connection") -> Any:
    return await connection.get("/definitions/export")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def init(directory: Path) -> None:
    """Write a commented starter project into DIRECTORY."""
    from .twin.starter import write_starter

    for file in write_starter(directory):
        click.echo(f"wrote {file}")
    click.echo(f"Next: iotsense validate {directory} && iotsense run -c {directory}")


@click.command()
@click.option("--graphql", is_flag=True, help="Print the GraphQL schema instead, in its definition language.")
def schema(graphql: bool) -> None:
    """Print the JSON Schema of the definition language."""
    if graphql:
        from .graphql.schema import schema as questions

        click.echo(questions.as_str())
        return
    from .twin.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _documents(paths: Sequence[Path]) -> dict[str, Any]:
    """The texts of all files by their full names; raises DefinitionError for what cannot be read.

    The service judges them, with its environment: what is to be seen of it is what will be applied.
    """
    from .twin.errors import DefinitionError
    from .twin.project import load_texts, read_texts

    full = [path.resolve() for path in paths]
    texts, findings = read_texts(full)
    base = full[0] if full[0].is_dir() else full[0].parent
    try:
        documents = {name: text.decode() for name, text in texts.items()}
    except UnicodeDecodeError:
        findings += load_texts(texts, base=base)[1]
    if findings:
        raise DefinitionError(findings)
    return {"documents": documents, "base": str(base)}


def _show_findings(findings: "Sequence[Finding]") -> None:
    terminal = console()
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        head, _, rest = str(finding).partition(f" {finding.severity}: ")
        terminal.print(head, end=" ", markup=False)
        terminal.print(f"{finding.severity}:", style=colour, end=" ", markup=False)
        terminal.print(rest, markup=False)


def _show_verdict(project: Any, findings: "Sequence[Finding]") -> None:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    counts = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    click.echo(", ".join(counts) if counts else "No mistakes found.")
    if project is not None:
        for notice in project.notices():
            click.echo(f"- {notice}")


def _line(finding: dict[str, Any]) -> str:
    from .twin.finding import Finding

    return str(Finding(**finding))


def _is_terminal() -> bool:
    return os.isatty(0) and os.isatty(1)
