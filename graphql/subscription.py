"""What pushes."""

import strawberry

from .change_subscription import ChangeSubscription
from .event_subscription import EventSubscription
from .replay_subscription import ReplaySubscription
from .state_subscription import StateSubscription


@strawberry.type
class Subscription(StateSubscription, EventSubscription, ChangeSubscription, ReplaySubscription):
    """The state, what happens, what changes, and what happened as if it were now."""
