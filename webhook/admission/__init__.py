"""The core of admission: pure functions from a review and a view to a decision.

Nothing here does I/O, reads a clock or uses randomness. The modules, in the order of the flow:

- ``review``: parses an AdmissionReview;
- ``view``: the state of the cluster that decisions depend on, made from ``objects`` and ``profiles``;
- ``decision``: ``decide``, the only entry point, under the choices in ``settings``;
- ``podedit`` and ``editor``: a pod under edit, and its changes as a JSON Patch;
- ``explanation``: the reasons for a decision.

The folders: ``profiles`` reads, checks, indexes and compares ClusterColocationProfiles;
``mutating`` changes pods as profiles say; ``validating`` holds the rules that pods must follow.
"""
