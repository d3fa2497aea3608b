"""What pushes."""

import strawberry

from .event_subscription import EventSubscription
from .replay_subscription import ReplaySubscription
from .state_subscription import StateSubscription


@strawberry.type
class Subscription(StateSubscription, EventSubscription, ReplaySubscription):
    """The state, what happens, and what happened as if it were now."""
