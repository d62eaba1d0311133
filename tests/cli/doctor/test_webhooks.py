"""What the doctor says of webhook configurations, certificates, views and calls."""

import base64
import datetime as dt
import socketserver
import ssl
import threading

import pytest

from tests.cli.doctor.builders import GOOD, HOME_PODS, MUTATING, NOW, POD_RULE, SECRETS, VALIDATING
from tests.kube.fakeapi import PROFILES
from webhook.certificates.issuing import issue, make_authority


def test_nothing_is_installed(doctor, cluster):
    """Without a mutating webhook no pod is changed; the remedy is named."""
    cluster.objects[MUTATING].clear()
    cluster.objects[VALIDATING].clear()
    cluster.objects[PROFILES].clear()
    code, found = doctor()
    assert code == 1
    assert (
        "there is no mutating webhook named *.colocation-webhook.io: no pod is changed -> install"
        in found["error"]
    )
    assert "there is no validating webhook" in found["warning"]
    assert "profiles: none exists" in found["warning"]


def test_releases_are_distinguished(doctor, cluster):
    """--release looks at one; two at once are an error."""
    assert doctor("--release", "ours")[0] == 0
    code, found = doctor("--release", "other")
    assert (code, "of release 'other'" in found["error"]) == (1, True)
    old = cluster.objects[MUTATING]["", "ours"]
    cluster.put(MUTATING, "second", webhooks=old["webhooks"])
    assert (
        "more than one mutating configuration calls this project's webhooks: ours, second"
        in doctor()[1]["error"]
    )


def test_certificates_that_do_not_fit(doctor, cluster, authority):
    """An empty caBundle, one of another CA, a wrong name, an early end."""
    hook = cluster.objects[MUTATING]["", "ours"]["webhooks"][0]
    good = hook["clientConfig"]
    other = make_authority(NOW)
    hook["clientConfig"] = good | {"caBundle": base64.b64encode(other.certificate).decode()}
    assert "caBundle does not fit Secret tls: the serving certificate was not issued" in doctor()[1]["error"]
    hook["clientConfig"] = good | {"caBundle": "!"}
    assert "caBundle does not fit" in doctor()[1]["error"]
    hook["clientConfig"] = {"service": good["service"]}
    assert "caBundle is empty" in doctor()[1]["error"]
    hook["clientConfig"] = good
    for served, verdict, message in (
        (
            issue(authority[0], ("else.home.svc",), NOW),
            "error",
            "is for else.home.svc, not for hook.home.svc",
        ),
        (
            issue(authority[0], ("hook.home.svc",), NOW - dt.timedelta(days=360)),
            "warning",
            "days from now -> renew",
        ),
    ):
        cluster.put(SECRETS, "tls", data={"tls.crt": base64.b64encode(served[0]).decode()})
        assert message in doctor()[1][verdict]
    cluster.objects[SECRETS].clear()
    assert "cannot be reached from here and no Secret of its pods can be read" in doctor()[1]["warning"]


def test_the_secret_of_managed_certificates_is_found(doctor, cluster):
    """It is mounted nowhere; the flag of the pod names it. An empty caBundle points to the replica's log."""
    cluster.put(
        HOME_PODS,
        "hook-1",
        metadata={"namespace": "home"},
        spec={"containers": [{"args": ["serve", "--manage-certificates=home/tls"]}]},
        status={"phase": "Running"},
    )
    assert "Secret tls: issued by the caBundle, for hook.home.svc" in doctor()[1]["ok"]
    del cluster.objects[MUTATING]["", "ours"]["webhooks"][0]["clientConfig"]["caBundle"]
    assert "managed certificates: a replica fills it in" in doctor()[1]["error"]


def test_a_url_is_asked_for_its_certificate(doctor, cluster, tmp_path, authority):
    """As the API server would; nobody there is an error."""
    ca = make_authority(NOW)
    pair = issue(ca, ("localhost",), NOW)
    (tmp_path / "pair.pem").write_bytes(pair[1] + pair[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that trusts nothing."""

        def get_request(self):
            plain, address = super().get_request()
            return context.wrap_socket(plain, server_side=True), address

    server = Server(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}/mutate"
    hooks = [cluster.objects[path]["", "ours"]["webhooks"][0] for path in (MUTATING, VALIDATING)]
    for hook in hooks:
        hook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(ca.certificate).decode()}
    code, found = doctor()
    assert "issued by the caBundle, for localhost" in found["ok"]
    assert "the webhook runs outside the cluster" in found["warning"]
    assert code == 0
    for hook in hooks:
        hook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(authority[0].certificate).decode()}
    assert "caBundle does not fit localhost" in doctor()[1]["error"]
    server.shutdown()
    server.server_close()
    assert "cannot be reached: Connection refused" in doctor()[1]["error"]


@pytest.mark.parametrize(
    ("report", "verdict", "message"),
    [
        ({"ready": False, "error": "x is forbidden"}, "error", "hook-1: not synced: x is forbidden"),
        (GOOD | {"ageSeconds": 999.0}, "warning", "the view is 999.0 s old: the API server has sent nothing"),
        (GOOD | {"error": "refused"}, "warning", "refused"),
    ],
)
def test_views_that_are_not_as_they_should_be(doctor, cluster, report, verdict, message):
    """Each replica is asked."""
    cluster.objects[f"{HOME_PODS}/hook-1:8081/proxy"] = {("", "readyz"): {"view": report}}
    assert message in doctor()[1][verdict]


def test_koordinators_webhook_changes_pods_too(doctor, cluster):
    """Both would change pods: how to switch. Its other webhooks do not matter."""
    hook = {"name": "mpod.koordinator.sh", "clientConfig": {}, "rules": [POD_RULE | {"resources": ["nodes"]}]}
    cluster.put(MUTATING, "koordinator-mutating-webhook-configuration", webhooks=[hook])
    assert doctor()[0] == 0
    hook["rules"] = [POD_RULE]
    code, found = doctor()
    assert (code, "PodMutatingWebhook=false" in found["error"]) == (1, True)


def test_requests_that_proceeded_without_an_answer(doctor, cluster):
    """Only our webhooks count, all types of one together."""
    metric = b"apiserver_admission_webhook_fail_open_count"
    lines = (
        b'%s{name="pods.mutate.colocation-webhook.io",type="admit"} 3\n'
        b'%s{name="pods.mutate.colocation-webhook.io",type="validating"} 1\n'
        b'%s{name="other",type="admit"} 9\n'
    ) % (metric, metric, metric)
    cluster.failures["GET", "/metrics"] = [(200, lines)]
    assert "4 requests proceeded" in doctor()[1]["warning"]


def test_profiles_that_no_replica_has_seen_are_no_alarm(doctor, cluster):
    """The chart's own are written before a replica runs; of pods and of others it is one."""
    metric = 'apiserver_admission_webhook_fail_open_count{name="%s.colocation-webhook.io",type="x"} 2\n'
    cluster.failures["GET", "/metrics"] = [(200, (metric % "profiles.validate").encode())]
    code, found = doctor()
    assert (code, found["warning"]) == (0, "")
    assert "profiles.validate.colocation-webhook.io: 2 requests proceeded" in found["ok"]
    for name, effect in (("pods.mutate", "were not changed"), ("pods.validate", "were not validated")):
        cluster.failures["GET", "/metrics"] = [(200, (metric % name).encode())]
        assert effect in doctor()[1]["warning"]
