"""What changes the plant."""

import strawberry

from .anomaly_mutation import AnomalyMutation
from .command_mutation import CommandMutation
from .definition_mutation import DefinitionMutation
from .letter_mutation import LetterMutation
from .report_mutation import ReportMutation
from .scenario_mutation import ScenarioMutation
from .store_mutation import StoreMutation


@strawberry.type
class Mutation(
    AnomalyMutation,
    CommandMutation,
    DefinitionMutation,
    LetterMutation,
    ReportMutation,
    ScenarioMutation,
    StoreMutation,
):
    """What can be changed."""
