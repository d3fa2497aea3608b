"""How a mutation that is being carried out goes, for whoever records it."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Course:
    """`again` once it turns out to be one that was carried out before."""

    again: bool = False


COURSE: ContextVar[Course] = ContextVar("course")
