"""What gunicorn itself logs."""

import logging

import pytest
from gunicorn.config import Config

from webhook.server.worker import GunicornLogger


@pytest.mark.parametrize(
    ("message", "arguments", "logged"),
    [
        ("Worker (pid:%s) was sent %s!", (7, "SIGQUIT"), False),
        ("Worker (pid:%s) was sent %s!", (7, "SIGSEGV"), True),
        ("Worker (pid:%s) was sent %s!", (7, "SIGHUP"), True),
        ("something else", (), True),
    ],
)
def test_ctrl_c_is_no_warning(caplog, message, arguments, logged):
    """A worker that Ctrl-C ends was not killed by anybody; other signals are named."""
    logger = GunicornLogger(Config())
    with caplog.at_level(logging.WARNING):
        logger.warning(message, *arguments)
    assert bool(caplog.records) is logged
