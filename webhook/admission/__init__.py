"""The core of admission: pure functions from a review and a view to a decision.

Nothing here does I/O, reads a clock or rolls dice. The parts, in the order of the flow:

- ``review``: the envelope; ``pod``: what is inside;
- ``view``: the picture of the cluster (``objects``, ``profiles``, ``selectors``, ``index``, ``priority``);
- ``decision``: ``decide``, the only door;
- changing a pod: ``selection`` (which profiles), ``mutation`` (what their fields do),
  ``strategicmerge``, ``podlevel``, ``translation``, ``gpu``, ``extendedspec``, all
  through ``editor``; ``reinvocation`` for being called twice;
- judging a pod: ``rules`` and ``validation``;
- ``explanation``: why.
"""

from webhook.admission.decision import Decision, decide
from webhook.admission.objects import ObjectError
from webhook.admission.review import Review, ReviewError, Webhook, parse_review
from webhook.admission.settings import Mode, PodLevelResources, Settings
from webhook.admission.view import View, build_view

__all__ = [
    "Decision",
    "Mode",
    "ObjectError",
    "PodLevelResources",
    "Review",
    "ReviewError",
    "Settings",
    "View",
    "Webhook",
    "build_view",
    "decide",
    "parse_review",
]
