"""The enumerations of the schema; those of the model are shared with it."""

from enum import Enum

import strawberry

from ..twin.model import DataType, Level, Origin, Role, quality_word

for _enum in (Level, Origin, Role, DataType):
    strawberry.enum(_enum)


@strawberry.enum(description="OPC quality: good from 192 on, uncertain from 64 on, bad below.")
class QualityWord(Enum):
    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"

    @classmethod
    def of(cls, quality: int) -> "QualityWord":
        """The word for an OPC quality byte."""
        return cls(quality_word(quality))


@strawberry.enum(description="Health in a word: healthy from 80 on, warning from 50 on, critical below.")
class HealthStatus(Enum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
