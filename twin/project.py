"""A project: a file or a folder of definitions, read and checked as a whole."""

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from .computed_checks import check_computed
from .define_project import Project as Project
from .define_types import FileMark, Model
from .document import Mapping as TreeMapping
from .document import Place, Tree, instance_of, path_of, place_of, trail
from .finding import Finding, has_errors, in_order, path_text
from .finding import Path as KeyPath
from .finding import strict as as_errors
from .for_each import Expansion
from .instances import complete_instances
from .joining import Joining
from .plant_checks import check_plant
from .plant_index import PlantIndex, Problem
from .publishing_checks import check_publishing
from .reference_checks import check_names, check_references
from .relationship_checks import check_relationship_types
from .schema_file_checks import check_schema_files
from .source_checks import check_sources
from .substitution import Substitution
from .type_checks import check_types
from .validation import Validation
from .writing_checks import check_writing

SUFFIXES = (".yaml", ".yml")
MAX_FILE_BYTES = 64 * 1024 * 1024


def load_project(
    paths: str | Path | Iterable[str | Path], env: Mapping[str, str] = os.environ, *, strict: bool = False
) -> tuple[Project | None, list[Finding]]:
    """Reads files and folders (`*.yaml`, `*.yml`, subfolders too) as one project.

    Returns the project, or None if there is an error, and all findings in order. Unset variables, missing files and
    references to what no document defines are warnings; with `strict`, errors. A number that an unset variable should
    have given is left out.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    texts, findings = read_texts(given)
    base = (given[0] if given[0].is_dir() else given[0].parent) if given else Path()
    project, found = load_texts(texts, env, base=base)
    findings = in_order([*findings, *found])
    if strict:
        findings = as_errors(findings)
    return None if has_errors(findings) else project, findings


def read_texts(paths: Iterable[Path]) -> tuple[dict[str, bytes], list[Finding]]:
    """The texts of files and folders by file name, and what cannot be read."""
    findings: list[Finding] = []
    texts: dict[str, bytes] = {}
    for path in paths:
        for file in _files(path, findings):
            try:
                if file.stat().st_size > MAX_FILE_BYTES:
                    findings.append(_unreadable(file, f"is larger than {MAX_FILE_BYTES // 2**20} MB"))
                else:
                    texts[str(file)] = file.read_bytes()
            except OSError as error:
                findings.append(_unreadable(file, f"cannot be read: {error.strerror or error}"))
    return texts, findings


def _files(path: Path, findings: list[Finding]) -> Iterator[Path]:
    if not path.is_dir():
        if path.exists():
            yield path
        else:
            findings.append(_unreadable(path, "is not there"))
        return
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        findings.append(_unreadable(path, "holds no definitions: no file that ends in .yaml or .yml"))
    yield from found


def _unreadable(path: Path, words: str) -> Finding:
    return Finding(str(path), 1, 1, "error", "", f"{path} {words}")


def load_texts(
    texts: Mapping[str, str | bytes], env: Mapping[str, str] = os.environ, *, base: Path | None = None
) -> tuple[Project | None, list[Finding]]:
    """Reads texts by file name as one project; as `load_project`. Relative file names are looked up in `base`."""
    trees = [Tree(text, file) for file, text in texts.items()]
    others = _other_files(trees, base)
    trees = [tree for tree in trees if tree.file not in others]
    joining = Joining()
    for tree in trees:
        for document in tree.documents:
            joining.add(document, getattr(document, "place", Place(tree.file, 1, 1)))
    substitution = Substitution(env, base)
    expansion = Expansion(joining.tree, substitution)
    substitution.fill(joining.tree)
    validation = Validation(joining.tree, substitution)
    findings = [finding for tree in trees for finding in tree.findings]
    # What cannot be read may define what others refer to.
    whole = joining.whole and not findings and not expansion.findings
    findings += joining.findings + expansion.findings + substitution.findings + validation.findings
    project = validation.project
    if project is not None:
        problems = [*_kinds(project, findings), *check_project(project, references=whole), *_files_of(project, base)]
        problems += check_schema_files(project)
        findings += [_located(joining.tree, problem) for problem in problems]
    findings = in_order(findings)
    return None if has_errors(findings) else project, findings


def check_project(project: Project, *, references: bool = True) -> Iterator[Problem]:
    """What only the project as a whole shows to be wrong."""
    index = PlantIndex(project)
    yield from check_names(project)
    yield from check_sources(project)
    yield from check_plant(project, index, references)
    yield from check_relationship_types(project, index, references)
    if references:
        yield from check_references(project, index)
        yield from check_publishing(project, index)
        yield from check_computed(project, index)
        yield from check_writing(project, index)


def _kinds(project: Project, findings: Iterable[Finding]) -> Iterator[Problem]:
    """Completes the instances of component types; where a type is wrong, they are not blamed for it."""
    types = [*check_types(project)]
    instances = [*complete_instances(project)]
    wrong = any(each.severity == "error" and each.path.startswith("component_types") for each in findings)
    yield from types
    if not wrong and not any(problem.severity == "error" for problem in types):
        yield from instances


def _located(tree: TreeMapping, problem: Problem) -> Finding:
    steps = trail(tree, problem.path)
    place = place_of(steps[-1], problem.key) if steps else tree.place
    path, instance = path_text(path_of(steps)), instance_of(steps)
    return Finding(*place, problem.severity, path, problem.message, problem.suggestion, instance)


# Files that definitions name ----------------------------------------------------------------------------------------


def _other_files(trees: Iterable[Tree], base: Path | None) -> set[str]:
    """Shift calendars and downtime reasons: YAML files of a project that hold no sections."""
    names: set[str] = set()
    for tree in trees:
        for document in tree.documents:
            oee: Any = document
            for key in ("iotsense", "oee"):
                oee = oee.get(key) if isinstance(oee, TreeMapping) else None
            if isinstance(oee, TreeMapping):
                named = (oee.get(key) for key in ("shift_calendar", "downtime_reasons"))
                names.update(str((base or Path()) / name) for name in named if isinstance(name, str))
    return names


def _files_of(project: Project, base: Path | None) -> Iterator[Problem]:
    """Tells which files are missing; those that are there get their full name, as the engines know no folder."""
    for path, model, field in _file_names(project, ()):
        name = getattr(model, field)
        file = (base or Path()) / name
        if not file.exists():
            yield Problem(path, f"the file {name} is not there", severity="warning")
        elif base is not None:
            setattr(model, field, str(file.absolute()))


@functools.cache
def _file_fields(kind: type[Model]) -> frozenset[str]:
    """The fields of a model that name a file."""

    def names_file(field: FieldInfo) -> bool:
        members = (field, *get_args(field.annotation))
        marks = (getattr(each, "metadata", getattr(each, "__metadata__", ())) for each in members)
        return any(isinstance(mark, FileMark) for found in marks for mark in found)

    return frozenset(name for name, field in kind.model_fields.items() if names_file(field))


def _file_names(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Model, str]]:
    if isinstance(value, Model):
        kind = type(value)
        for name in sorted(value.model_fields_set):
            field = kind.model_fields[name]
            inner = getattr(value, name)
            if isinstance(inner, str):
                if name in _file_fields(kind):
                    yield (*path, field.alias or name), value, name
            elif isinstance(inner, (Model, list, dict)):
                yield from _file_names(inner, (*path, field.alias or name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, Model):
                yield from _file_names(each, (*path, number))
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, Model):
                yield from _file_names(each, (*path, key))
