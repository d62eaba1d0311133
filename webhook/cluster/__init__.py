"""Where the view of the cluster comes from.

- ``source``: what every source of views has in common;
- ``documents``: YAML and JSON text into objects, each with the place where it stands;
- ``files``: a directory of such files, read again when it changes;
- ``watch``: an API server, listed and watched; ``combined``: that beside files.
  Under it: ``access``, ``kubeconfig`` and ``execplugin`` (where the server is and who we
  are), ``api`` (one call), ``reflector`` (one kind, listed and watched), ``picture`` (what
  is kept, and the view made from it);
- ``conditions``, ``profilestatus`` and ``lease``: the statuses of profiles, written by
  one replica.
"""

from webhook.cluster.documents import DocumentError, read_documents
from webhook.cluster.files import FilesSource, SourceError
from webhook.cluster.source import SourceStatus

__all__ = ["DocumentError", "FilesSource", "SourceError", "SourceStatus", "read_documents"]
