"""CPU sets given when pods are bound: the ledger, the decision, and what keeps both right.

Pure: ``wish`` (a pod), ``machine`` (a node), ``ledger``, ``resourcestatus``, ``seed``, ``grant``.
Around it: ``stores`` (what is watched), ``store`` (the ledgers, changed by compare-and-swap),
``binder`` (one pod onto one node), ``reviews`` (``/bind``), ``reconciler`` (what went wrong
meanwhile), ``events``, ``metrics``, and ``service``, which puts them together.
"""
