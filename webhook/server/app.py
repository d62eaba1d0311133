"""The Flask application: both webhooks, and a ``Status`` object for every other request."""

from __future__ import annotations

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from webhook.admission import ReviewError, Webhook, status_body
from webhook.server.answer import Answer, Answerer
from webhook.server.envelope import MAX_BODY, budget, check_content_type, check_length

_SPOKEN = {
    404: "there is no such path; reviews are posted to /mutate or /validate",
    405: "a review is sent with POST",
}


def create_app(answerer: Answerer) -> flask.Flask:
    """Make the application; ``answerer`` is what answers reviews."""
    app = flask.Flask("webhook", static_folder=None)
    # One byte more than allowed, so that a body without a length is told apart from one that just fits.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1

    def review(webhook: Webhook) -> flask.Response:
        request = flask.request
        try:
            check_length(request.content_length or 0)
            check_content_type(request.headers.get("Content-Type", ""))
            seconds = budget(request.query_string.decode("latin-1"))
            try:
                body = request.get_data(cache=False)
            except RequestEntityTooLarge:
                check_length(MAX_BODY + 1)
                raise
            check_length(len(body))
        except ReviewError as error:
            return _response(answerer.refuse(webhook, error))
        return _response(answerer.answer(webhook, body, seconds))

    for webhook in Webhook:
        app.add_url_rule(
            f"/{webhook.value}",
            endpoint=webhook.value,
            methods=["POST"],
            view_func=review,
            defaults={"webhook": webhook},
            provide_automatic_options=False,
        )
    app.register_error_handler(HTTPException, _refused)
    return app


def _refused(error: HTTPException) -> flask.Response:
    code = error.code or 500
    message = _SPOKEN.get(code, error.description or error.name)
    response = _response(Answer(code, status_body(code, message)))
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _response(answer: Answer) -> flask.Response:
    return flask.Response(answer.body, status=answer.status, mimetype="application/json")
