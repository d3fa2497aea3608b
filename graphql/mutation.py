"""What changes the plant."""

import strawberry

from .report_mutation import ReportMutation
from .scenario_mutation import ScenarioMutation


@strawberry.type
class Mutation(ReportMutation, ScenarioMutation):
    """What can be changed."""
