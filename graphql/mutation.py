"""What can be changed."""

import strawberry

from .report_mutation import ReportMutation


@strawberry.type
class Mutation(ReportMutation):
    """What can be changed."""
