"""Where the view of the cluster comes from.

- ``documents``: YAML and JSON text into objects, each with the place where it stands;
- ``files``: a directory of such files, read again when it changes.
"""

from webhook.cluster.documents import DocumentError, read_documents
from webhook.cluster.files import FilesSource, SourceError, SourceStatus

__all__ = ["DocumentError", "FilesSource", "SourceError", "SourceStatus", "read_documents"]
