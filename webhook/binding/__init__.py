"""CPU sets given when pods are bound: the ledger, the decision, and what keeps both right.

- Pure: ``nodetopology`` (a node's CPUs), ``ledger`` (who holds which), ``grant`` (the decision),
  ``audit`` (what is wrong), ``recovery`` (entries from annotations);
- state: ``caches`` (pods and nodes, watched), ``ledgers`` (changed by compare-and-swap), ``state``
  (all of it), ``binder`` (one pod to one node);
- ``endpoint`` (``/bind``), ``reconciler`` and ``repair`` (drift), ``metrics``, ``rendering``, and
  ``service``, which puts them together.
"""
