"""What /readyz says of the view and of the serving certificate."""

import datetime as dt
import time
from collections.abc import Mapping

from webhook.cluster.source import Source, unready
from webhook.kube.cache.reflector import KindStatus
from webhook.process.admin import Report
from webhook.server.freshness import Freshness
from webhook.server.tls import ServingCertificate


def view_report(
    source: Source, freshness: Freshness, watched: Mapping[str, KindStatus], *, synced: bool
) -> Report:
    """Report on the view; it is ready unless another replica has a fresher one.

    Args:
        source: of views.
        freshness: whether the view is too old.
        watched: every watched kind, by its plural name.
        synced: whether what is watched besides the view has been read once.
    """
    status, view = source.status, source.view
    return Report(
        status.ready and synced and not freshness.yields,
        {
            "ready": status.ready,
            "loadedAt": _moment(status.loaded_at),
            "error": status.error,
            "reloadErrors": status.reload_errors,
            "profiles": len(view.profiles),
            "unreadyProfiles": unready(view),
            "ageSeconds": round(time.time() - status.loaded_at, 1) if status.loaded_at else None,
            "stale": sorted(freshness.stale),
            "servedBy": freshness.substitute if freshness.yields else None,
            "watched": {
                name: {
                    "synced": kind.synced,
                    "contactAt": _moment(kind.contact_at),
                    "error": kind.error,
                    "failures": kind.failures,
                    "lists": kind.lists,
                }
                for name, kind in watched.items()
            },
        },
    )


def certificate_report(certificate: ServingCertificate) -> Report:
    """Report on the certificate; it is ready when there is one and the API server trusts it."""
    return Report(
        certificate.ready,
        {
            "ready": certificate.ready,
            "expiresAt": certificate.pair.expires_at if certificate.pair else None,
            "error": certificate.error,
            "reloadErrors": certificate.reload_errors,
        },
    )


def _moment(timestamp: float) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC) if timestamp else None
