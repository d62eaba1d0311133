"""Materials for tests: a first one, and what becomes of it."""

import datetime as dt

from webhook.certificates.rotation import Observed, Terms, plan

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAME = "webhook.somewhere.svc"
TERMS = Terms((NAME,), settle=60, overlap=600, patience=10)
LONG = Observed(held=10_000, published=10_000)


def made(now=NOW):
    """A first material."""
    return plan(None, None, observed=Observed(), terms=TERMS, now=now).material


def after(material, *, observed=LONG, terms=TERMS, now=NOW, memory=None):
    """The next one."""
    return plan(material, memory, observed=observed, terms=terms, now=now).material
