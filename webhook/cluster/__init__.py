"""Views of a cluster: where admission's view comes from, and the statuses of profiles.

- ``source``: what every source of views has in common;
- ``files``: a directory, read again when it changes; ``watch``: an API server, listed and watched;
  ``combined``: both; ``cache``: the objects of a watched cluster;
- ``conditions``, ``statuswriter``: the statuses of profiles, written by one replica.
"""
