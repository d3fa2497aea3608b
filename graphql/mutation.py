"""What changes the plant."""

import strawberry

from .command_mutation import CommandMutation
from .report_mutation import ReportMutation
from .scenario_mutation import ScenarioMutation


@strawberry.type
class Mutation(CommandMutation, ReportMutation, ScenarioMutation):
    """What can be changed."""
