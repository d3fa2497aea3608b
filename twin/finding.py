"""A mistake in a definition: where it is, what was found, what was expected."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

Severity = Literal["error", "warning"]
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake. Lines and columns count from 1; `path` leads there within the file (`digital_twins[0].name`)."""

    file: str
    line: int
    column: int
    severity: Severity
    path: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{hint}"

    def to_json(self) -> dict[str, Any]:
        """As editors and CI read it."""
        return asdict(self)


def path_text(path: Sequence[str | int]) -> str:
    """`("digital_twins", 0, "name")` as `digital_twins[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def strict(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with warnings as errors, as `apply` and `validate --strict` want them."""
    return [replace(finding, severity="error") for finding in findings]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line and column; each once."""
    return sorted(dict.fromkeys(findings), key=lambda each: (each.file, each.line, each.column, each.message))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether one of them is an error."""
    return any(finding.severity == "error" for finding in findings)
