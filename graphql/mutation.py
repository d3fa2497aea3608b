"""What changes the plant."""

import strawberry

from .anomaly_mutation import AnomalyMutation
from .command_mutation import CommandMutation
from .report_mutation import ReportMutation
from .scenario_mutation import ScenarioMutation


@strawberry.type
class Mutation(AnomalyMutation, CommandMutation, ReportMutation, ScenarioMutation):
    """What can be changed."""
