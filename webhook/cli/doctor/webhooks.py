"""The doctor on webhook configurations: found, reachable, trusted, alone, and not failing open."""

import base64
import binascii
import contextlib
import datetime as dt
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from typing import Final, NamedTuple

from webhook.certificates import CertificateError
from webhook.certificates.verifying import check_issued_by, read_chain
from webhook.cli.doctor.diagnosis import OUR_WEBHOOKS, Case, Line, Object, Verdict
from webhook.kube.client import ApiError

_SOON: Final = 14  # days
_CONNECT_SECONDS: Final = 5.0
_CONFIGURATIONS: Final = "webhook configurations"
_CERTIFICATE: Final = "serving certificate"
_KOORDINATOR: Final = "Koordinator's webhook"
_FAIL_OPEN: Final = "fail-open"
_FAIL_OPEN_LINE: Final = re.compile(
    rb"apiserver_admission_webhook_fail_open_count\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)"
)
_NAME: Final = re.compile(rb'(?:^|,)name="([^"]*)"')


def configurations(case: Case) -> Iterator[Line]:
    """Yield which configurations of ours there are, and what is odd about them."""
    for kind, needed in (("mutating", Verdict.ERROR), ("validating", Verdict.WARNING)):
        found = case.ours(kind)
        if not found:
            meant = f" of release {case.release!r}" if case.release else ""
            effect = "no pod is changed" if kind == "mutating" else "nothing is validated"
            yield Line(
                needed,
                _CONFIGURATIONS,
                f"there is no {kind} webhook{meant} named *{OUR_WEBHOOKS}: {effect}",
                "install the chart, or switch this webhook on in its values",
            )
        elif len(found) > 1:
            every = ", ".join(configuration["metadata"]["name"] for configuration, _ in found)
            yield Line(
                Verdict.ERROR,
                _CONFIGURATIONS,
                f"more than one {kind} configuration asks this project's webhooks: {every}",
                "uninstall all releases but one, or name one with --release",
            )
        for configuration, hooks in found:
            yield from _hooks(kind, configuration, hooks)


def _hooks(kind: str, configuration: Object, hooks: list[Object]) -> Iterator[Line]:
    name = configuration["metadata"]["name"]
    for hook in hooks:
        if not hook["clientConfig"].get("caBundle"):
            yield Line(
                Verdict.ERROR,
                _CONFIGURATIONS,
                f"{name}: {hook['name']}: caBundle is empty: the API server trusts no serving certificate",
                "managed certificates: a replica fills it in, its log says what keeps it from that; "
                "else set certificates.caBundle in the chart's values, or let cert-manager inject it",
            )
    told = ", ".join(f"{hook['name']} ({hook.get('failurePolicy', 'Fail')})" for hook in hooks)
    yield Line(Verdict.OK, _CONFIGURATIONS, f"{kind} {name}: {told}")


class _Served(NamedTuple):
    """A chain, where it was found, the name it must be for, and what a handshake says against it."""

    chain: bytes
    whence: str
    host: str
    refused: str | None = None


def certificate(case: Case) -> Iterator[Line]:
    """Yield whether the service can be reached, whether caBundle fits, and how long it will."""
    hooks = [hook for kind in ("mutating", "validating") for _, found in case.ours(kind) for hook in found]
    seen: set[str] = set()
    for hook in hooks:
        client = hook["clientConfig"]
        where = _target(client)
        bundle = client.get("caBundle") or ""
        if where is None or not bundle or f"{where}{bundle}" in seen:
            continue
        seen.add(f"{where}{bundle}")
        try:
            served = _served(case, client, *where)
        except OSError as error:
            yield Line(
                Verdict.ERROR,
                _CERTIFICATE,
                f"{where[0]}:{where[1]} cannot be reached: {error.strerror or error}",
                "look at the webhook's pods: kubectl get pods, kubectl logs; and at NetworkPolicies",
            )
            continue
        if served is None:
            yield Line(
                Verdict.WARNING,
                _CERTIFICATE,
                f"{where[0]} cannot be reached from here and no Secret of its pods can be read: not checked",
                "run the doctor in the cluster, in one of the webhook's pods: doctor --in-cluster",
            )
            continue
        yield from _trusted(served, bundle, hook["name"])
        yield from _lasting(case, served)


def _target(client: Object) -> tuple[str, int] | None:
    if url := client.get("url"):
        parts = urllib.parse.urlsplit(url)
        return (parts.hostname, parts.port or 443) if parts.hostname else None
    service = client.get("service") or {}
    return f"{service.get('name')}.{service.get('namespace')}.svc", int(service.get("port") or 443)


def _served(case: Case, client: Object, host: str, port: int) -> _Served | None:
    """The certificate that is served: by asking for it, else from a Secret of the pods."""
    if client.get("url") or case.in_cluster:
        return _Served(_peer(host, port), f"{host}:{port}", host, _refused(host, port, client["caBundle"]))
    with contextlib.suppress(ApiError, LookupError, ValueError):
        for pod in case.pods():
            for namespace, name in _secrets(pod):
                secret = case.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
                if chain := (secret.get("data") or {}).get("tls.crt"):
                    return _Served(base64.b64decode(chain), f"Secret {name}", host)
    return None


def _secrets(pod: Object) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of the Secrets that a pod may serve from: named by a flag, or mounted."""
    for container in pod["spec"].get("containers") or ():
        for argument in container.get("args") or ():
            flag, _, value = argument.partition("=")
            if flag == "--manage-certificates":
                namespace, _, name = value.partition("/")
                yield namespace, name
    for volume in pod["spec"].get("volumes") or ():
        if name := (volume.get("secret") or {}).get("secretName"):
            yield pod["metadata"]["namespace"], name


def _peer(host: str, port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a certificate that nobody trusts is to be looked at as well
    return ssl.DER_cert_to_PEM_cert(_handshake(context, host, port)).encode()


def _refused(host: str, port: int, bundle: str) -> str | None:
    """Shake hands as the API server would; return why that fails, or None."""
    try:
        context = ssl.create_default_context(cadata=base64.b64decode(bundle, validate=True).decode("ascii"))
        _handshake(context, host, port)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ValueError as error:  # SSLError is an OSError; this is base64 or text
        return str(error)
    return None


def _handshake(context: ssl.SSLContext, host: str, port: int) -> bytes:
    with (
        socket.create_connection((host, port), _CONNECT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def _trusted(served: _Served, bundle: str, hook: str) -> Iterator[Line]:
    remedy = "renew the certificate or the caBundle, so that one belongs to the other"
    refused = served.refused
    try:
        stated = read_chain(served.chain).names
        if not served.whence.startswith(served.host):
            check_issued_by(served.chain, base64.b64decode(bundle, validate=True))
    except (binascii.Error, CertificateError) as error:
        refused, stated = str(error), ()
    if refused is not None:
        message = f"{hook}: caBundle does not fit {served.whence}: {refused}"
        yield Line(Verdict.ERROR, _CERTIFICATE, message, remedy)
    elif served.host not in stated:
        message = (
            f"{served.whence}: is for {', '.join(stated) or 'no name'}, "
            f"not for {served.host}, which the API server asks for"
        )
        yield Line(Verdict.ERROR, _CERTIFICATE, message, f"make a certificate for {served.host}")
    else:
        yield Line(Verdict.OK, _CERTIFICATE, f"{served.whence}: issued by the caBundle, for {served.host}")


def _lasting(case: Case, served: _Served) -> Iterator[Line]:
    try:
        end = read_chain(served.chain).expires_at
    except CertificateError:
        return  # said before
    days = (end - dt.datetime.fromtimestamp(case.now(), dt.UTC)).days
    verdict = Verdict.ERROR if days < 0 else Verdict.WARNING if days < _SOON else Verdict.OK
    message = f"{served.whence}: ends on {end:%Y-%m-%d}, {days} days from now"
    remedy = (
        "" if verdict is Verdict.OK else "renew it: see 'colocation-webhook certs --help' or cert-manager"
    )
    yield Line(verdict, _CERTIFICATE, message, remedy)


def koordinator(case: Case) -> Iterator[Line]:
    """Yield whether Koordinator's own webhook changes pods beside ours."""
    beside = []
    for configuration in case.configurations("mutating"):
        hooks = configuration.get("webhooks") or ()
        if any(_changes_pods(hook) and _is_koordinators(configuration, hook) for hook in hooks):
            beside.append(configuration["metadata"]["name"])
    if not beside:
        yield Line(Verdict.OK, _KOORDINATOR, "none beside this one")
        return
    yield Line(
        Verdict.ERROR,
        _KOORDINATOR,
        f"{', '.join(beside)} changes pods too: both apply every profile",
        "switch Koordinator's off: start koord-manager with "
        "--feature-gates=PodMutatingWebhook=false,PodValidatingWebhook=false; "
        "or keep Koordinator's and uninstall this chart",
    )


def _is_koordinators(configuration: Object, hook: Object) -> bool:
    service = hook["clientConfig"].get("service") or {}
    if str(hook.get("name")).endswith(OUR_WEBHOOKS):
        return False
    named = (configuration["metadata"]["name"], str(hook.get("name")), str(service.get("name")))
    return any("koordinator" in name for name in named)


def _changes_pods(hook: Object) -> bool:
    return any(
        {"*", "CREATE"} & set(rule.get("operations") or ())
        and {"*", "*/*", "pods"} & set(rule.get("resources") or ())
        for rule in hook.get("rules") or ()
    )


def fail_open(case: Case) -> Iterator[Line]:
    """Yield how often the API server went on without our answer."""
    counts: dict[str, float] = {}
    for line in case.api.stream("/metrics"):
        if (found := _FAIL_OPEN_LINE.match(line)) and (name := _NAME.search(found["labels"])):
            webhook = name[1].decode()
            if webhook.endswith(OUR_WEBHOOKS):
                counts[webhook] = counts.get(webhook, 0) + float(found["count"])
    if not any(counts.values()):
        yield Line(Verdict.OK, _FAIL_OPEN, "this API server never went on without an answer since it started")
        return
    for webhook, count in sorted(counts.items()):
        if count:
            yield Line(
                Verdict.WARNING,
                _FAIL_OPEN,
                f"{webhook}: {count:.0f} requests went on without an answer since this API server started: "
                "such pods were not changed",
                "look for the time in the webhook's log; more replicas or a longer timeoutSeconds help",
            )
