"""A mistake in a definition: where it is, what was found, what was expected."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

Severity = Literal["error", "warning"]
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake. Lines and columns count from 1; `path` leads there within the file (`digital_twins[0].name`).

    `instance` names the entry that a `for_each` made there, `pump_7 and 3 more` if several have the same mistake.
    """

    file: str
    line: int
    column: int
    severity: Severity
    path: str
    message: str
    suggestion: str | None = None
    instance: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        instance = f" (in {self.instance})" if self.instance else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{instance}{hint}"

    def to_json(self) -> dict[str, Any]:
        """As editors and CI read it."""
        fields = asdict(self)
        return fields if self.instance else {name: fields[name] for name in fields if name != "instance"}


def path_text(path: Sequence[str | int]) -> str:
    """`("digital_twins", 0, "name")` as `digital_twins[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def strict(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with warnings as errors, as `apply` and `validate --strict` want them."""
    return [replace(finding, severity="error") for finding in findings]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line and column; each once, with all entries of a `for_each` that it concerns."""
    found: dict[Finding, dict[str | None, None]] = {}
    for each in findings:
        found.setdefault(replace(each, instance=None) if each.instance else each, {})[each.instance] = None
    told = (replace(each, instance=_some(names)) if None not in names else each for each, names in found.items())
    return sorted(told, key=lambda each: (each.file, each.line, each.column, each.message))


def _some(instances: Iterable[str | None]) -> str:
    first, *others = (each for each in instances if each)
    return first + (f" and {len(others)} more" if others else "")


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether one of them is an error."""
    return any(finding.severity == "error" for finding in findings)
