"""Checks of webhook configurations: installed, reachable, trusted, without a rival, not failing open."""

import base64
import binascii
import contextlib
import datetime as dt
import re
import socket
import ssl
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from webhook.certificates.verifying import CertificateError, check_issued_by, read_chain
from webhook.cli.doctor.diagnosis import OUR_WEBHOOKS, Cluster, Finding, Object, Verdict, fail, ok, warn
from webhook.kube import paths
from webhook.kube.client import ApiError

_EXPIRES_SOON_DAYS: Final = 14
_CONNECT_SECONDS: Final = 5.0
_FAIL_OPEN_LINE: Final = re.compile(
    rb"apiserver_admission_webhook_fail_open_count\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)"
)
_EFFECTS: Final = {
    "mutate": "such pods were not changed",
    "validate": "such pods were not validated",
    "cpuset": "such pods get their CPUs later, by the reconciler",
}
_NAME: Final = re.compile(rb'(?:^|,)name="([^"]*)"')


def configurations(cluster: Cluster) -> Iterator[Finding]:
    """Yield our webhook configurations, and problems of them."""
    for kind, needed in (("mutating", Verdict.ERROR), ("validating", Verdict.WARNING)):
        found = cluster.ours(kind)
        if not found:
            release = f" of release {cluster.release!r}" if cluster.release else ""
            effect = "no pod is changed" if kind == "mutating" else "nothing is validated"
            yield Finding(
                needed,
                f"there is no {kind} webhook{release} named *{OUR_WEBHOOKS}: {effect}",
                "install the chart, or enable this webhook in its values",
            )
        elif len(found) > 1:
            every = ", ".join(configuration["metadata"]["name"] for configuration, _ in found)
            yield fail(
                f"more than one {kind} configuration calls this project's webhooks: {every}",
                "uninstall all releases but one, or choose one with --release",
            )
        for configuration, hooks in found:
            yield from _hooks(kind, configuration, hooks)


def _hooks(kind: str, configuration: Object, hooks: list[Object]) -> Iterator[Finding]:
    name = configuration["metadata"]["name"]
    for hook in hooks:
        if not hook["clientConfig"].get("caBundle"):
            yield fail(
                f"{name}: {hook['name']}: caBundle is empty: the API server trusts no serving certificate",
                "managed certificates: a replica fills it in, and its log says why it cannot; "
                "otherwise set certificates.caBundle in the chart's values, or let cert-manager inject it",
            )
    policies = ", ".join(f"{hook['name']} ({hook.get('failurePolicy', 'Fail')})" for hook in hooks)
    yield ok(f"{kind} {name}: {policies}")


class _Served(NamedTuple):
    """The certificate that the service uses.

    Attributes:
        chain: PEM, leaf first.
        origin: where it was found: an address or a Secret.
        host: the name that it must be for.
        handshake_error: why a TLS handshake that trusts the caBundle failed, or None.
    """

    chain: bytes
    origin: str
    host: str
    handshake_error: str | None = None


def certificate(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether the service can be reached, and whether its certificate fits caBundle and is valid."""
    checked: set[str] = set()
    for hook in cluster.hooks():
        client = hook["clientConfig"]
        target = _target(client)
        bundle = client.get("caBundle") or ""
        if target is None or not bundle or f"{target}{bundle}" in checked:
            continue
        checked.add(f"{target}{bundle}")
        try:
            served = _served(cluster, client, *target)
        except OSError as error:
            yield fail(
                f"{target[0]}:{target[1]} cannot be reached: {error.strerror or error}",
                "check the webhook's pods (kubectl get pods, kubectl logs) and NetworkPolicies",
            )
            continue
        if served is None:
            yield warn(
                f"{target[0]} cannot be reached from here and no Secret of its pods can be read: not checked",
                "run the doctor in the cluster, in one of the webhook's pods: doctor --in-cluster",
            )
            continue
        yield from _examined(cluster, served, bundle, hook["name"])


def _target(client: Object) -> tuple[str, int] | None:
    if url := client.get("url"):
        parts = urllib.parse.urlsplit(url)
        return (parts.hostname, parts.port or 443) if parts.hostname else None
    service = client.get("service") or {}
    return f"{service.get('name')}.{service.get('namespace')}.svc", int(service.get("port") or 443)


def _served(cluster: Cluster, client: Object, host: str, port: int) -> _Served | None:
    """Return the served certificate: by a TLS handshake, or else from a Secret of the pods."""
    if client.get("url") or cluster.in_cluster:
        error = _handshake_error(host, port, client["caBundle"])
        # An untrusted certificate is examined as well: this call does not verify it.
        chain = ssl.get_server_certificate((host, port), timeout=_CONNECT_SECONDS).encode()
        return _Served(chain, f"{host}:{port}", host, error)
    with contextlib.suppress(ApiError, LookupError, ValueError):
        for pod in cluster.pods():
            for namespace, name in _secrets(pod):
                secret = cluster.api.get(paths.secret(namespace, name))
                if held := (secret.get("data") or {}).get("tls.crt"):
                    return _Served(base64.b64decode(held), f"Secret {name}", host)
    return None


def _secrets(pod: Object) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of Secrets that may hold a pod's certificate: from a flag, or mounted."""
    for value in _arguments(pod, "--manage-certificates"):
        namespace, _, managed = value.partition("/")
        yield namespace, managed
    for volume in pod["spec"].get("volumes") or ():
        if name := (volume.get("secret") or {}).get("secretName"):
            yield pod["metadata"]["namespace"], name


def _arguments(pod: Object, flag: str) -> Iterator[str]:
    """Yield the values of a flag in the arguments of a pod's containers, as the chart writes them."""
    for container in pod["spec"].get("containers") or ():
        for argument in container.get("args") or ():
            name, _, value = argument.partition("=")
            if name == flag:
                yield value


def _handshake_error(host: str, port: int, bundle: str) -> str | None:
    """Do a TLS handshake as the API server would; return why it fails, or None."""
    try:
        context = ssl.create_default_context(cadata=base64.b64decode(bundle, validate=True).decode("ascii"))
        with socket.create_connection((host, port), _CONNECT_SECONDS) as connection:
            context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ValueError as error:  # SSLError is an OSError; this is base64 or text
        return str(error)
    return None


def _examined(cluster: Cluster, served: _Served, bundle: str, hook: str) -> Iterator[Finding]:
    problem, chain = served.handshake_error, None
    try:
        chain = read_chain(served.chain)
        if not served.origin.startswith(served.host):
            check_issued_by(served.chain, base64.b64decode(bundle, validate=True))
    except (binascii.Error, CertificateError) as error:
        problem = str(error)
    if problem is not None or chain is None:
        yield fail(
            f"{hook}: caBundle does not fit {served.origin}: {problem}",
            "replace the certificate or the caBundle, so that they belong together",
        )
    elif served.host not in chain.names:
        yield fail(
            f"{served.origin}: is for {', '.join(chain.names) or 'no name'}, "
            f"not for {served.host}, which the API server connects to",
            f"issue a certificate for {served.host}",
        )
    else:
        yield ok(f"{served.origin}: issued by the caBundle, for {served.host}")
    if chain is None:
        return
    days = (chain.expires_at - dt.datetime.fromtimestamp(cluster.now(), dt.UTC)).days
    verdict = Verdict.ERROR if days < 0 else Verdict.WARNING if days < _EXPIRES_SOON_DAYS else Verdict.OK
    remedy = "renew it: see 'colocation-webhook certs --help' or cert-manager"
    message = f"{served.origin}: expires on {chain.expires_at:%Y-%m-%d}, {days} days from now"
    yield Finding(verdict, message, "" if verdict is Verdict.OK else remedy)


def bindings(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether only an API server can ask for CPU sets: a review of a binding has an effect."""
    if not any(_asks_for_bindings(hook["clientConfig"]) for hook in cluster.hooks()):
        yield ok("none is asked about: CPU sets are off")
        return
    pods = cluster.pods()
    if not pods:
        yield warn(
            "whether --client-ca is given cannot be seen: no pod of the webhook is found",
            "see the flags of serve there",
        )
        return
    anybody = [pod["metadata"]["name"] for pod in pods if not any(_arguments(pod, "--client-ca"))]
    if not anybody:
        yield ok("clients show a certificate (--client-ca)")
        return
    yield warn(
        f"{', '.join(anybody)}: /bind answers clients without a certificate: who reaches the port can have "
        "CPUs promised to a waiting pod on any node that it fits, in namespaces that opted in",
        "set webhook.clientCA in the chart's values, once the API server has a certificate of that CA; "
        "or let only the addresses of API servers reach the port",
    )


def _asks_for_bindings(client: Object) -> bool:
    path = (client.get("service") or {}).get("path") or urllib.parse.urlsplit(client.get("url") or "").path
    return str(path).endswith("/bind")


def koordinator(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether Koordinator's own webhook changes pods, too."""
    rivals = []
    for configuration in cluster.configurations("mutating"):
        hooks = configuration.get("webhooks") or ()
        if any(_changes_pods(hook) and _is_koordinators(configuration, hook) for hook in hooks):
            rivals.append(configuration["metadata"]["name"])
    if not rivals:
        yield ok("it does not change pods")
        return
    yield fail(
        f"{', '.join(rivals)} changes pods, too: both webhooks apply every profile",
        "disable Koordinator's webhook: start koord-manager with "
        "--feature-gates=PodMutatingWebhook=false,PodValidatingWebhook=false; "
        "or keep it and uninstall this chart",
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


def fail_open(cluster: Cluster) -> Iterator[Finding]:
    """Yield how often the API server proceeded without our answer."""
    counts: Counter[str] = Counter()
    for line in cluster.api.stream("/metrics"):
        if (found := _FAIL_OPEN_LINE.match(line)) and (name := _NAME.search(found["labels"])):
            counts[name[1].decode()] += int(float(found["count"]))
    failed_open = {hook: count for hook, count in counts.items() if count and hook.endswith(OUR_WEBHOOKS)}
    if not failed_open:
        yield ok("since it started, this API server never proceeded without an answer")
    for webhook, count in sorted(failed_open.items()):
        message = f"{webhook}: {count} requests proceeded without an answer since this API server started"
        if webhook.startswith("profiles."):  # the chart's own, say, which are there before any replica
            yield ok(f"{message}: the status of a profile says whether it is right")
            continue
        if webhook.startswith("slo-config."):
            yield ok(f"{message}: the controller's log says whether the ConfigMap is right")
            continue
        effect = next((text for part, text in _EFFECTS.items() if part in webhook), "nothing was done")
        yield warn(
            f"{message}: {effect}",
            "search the webhook's log for the cause; more replicas or a longer timeoutSeconds help",
        )
