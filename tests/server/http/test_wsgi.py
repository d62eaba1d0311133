"""WSGI, as PEP 3333 says it: checked by the standard library's validator."""

from wsgiref.validate import validator

from webhook.server.http.head import Head
from webhook.server.http.wsgi import Response, call

HEAD = Head("POST", "/mutate", "timeout=1s", "application/json", 4, waits=False)


def test_an_application_gets_a_valid_environ_and_the_body():
    """The validator accepts it; status, headers and all pieces of the body come back."""

    @validator
    def application(environ, start_response):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']} ".encode()
        start_response("418 I'm a Teapot", [("Content-Type", environ["CONTENT_TYPE"]), ("Allow", "GET")])
        return iter([text, body])

    assert call(application, HEAD, b"body") == Response(
        418, b"Content-Type: application/json\r\nAllow: GET\r\n", b"POST /mutate?timeout=1s body"
    )


def test_a_length_of_the_application_is_replaced_and_its_answer_closed():
    """The connection counts for itself."""
    closed = []

    class Answer(list):
        def close(self):
            closed.append(True)

    def application(_, start_response):
        write = start_response("200 OK", [("Content-Length", "999")])
        write(b"a")
        return Answer([b"b"])

    assert call(application, HEAD, b"") == Response(200, b"", b"ab")
    assert closed == [True]


def test_what_an_application_raises_is_a_500(caplog):
    """A Status without a traceback, which is logged."""

    def application(_, __):
        raise ZeroDivisionError

    status, _, body = call(application, HEAD, b"")
    assert status == 500
    assert b"ZeroDivisionError" not in body
    assert "ZeroDivisionError" in caplog.text
