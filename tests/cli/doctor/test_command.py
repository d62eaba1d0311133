"""What the doctor says of clusters in which this and that does not work."""

import base64
import datetime as dt
import json
import socketserver
import ssl
import threading

import pytest
import yaml

from tests.kube.fakeapi import PROFILES, FakeApi
from webhook.certificates.issuing import issue, make_authority

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING, VALIDATING = (
    f"{ADMISSION}/mutatingwebhookconfigurations",
    f"{ADMISSION}/validatingwebhookconfigurations",
)
LEASES = "/apis/coordination.k8s.io/v1/leases"
SERVICES, SECRETS = "/api/v1/namespaces/home/services", "/api/v1/namespaces/home/secrets"
PODS, HOME_PODS, NODES = "/api/v1/pods", "/api/v1/namespaces/home/pods", "/api/v1/nodes"
POD_RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
NOW = dt.datetime.now(dt.UTC)
BATCH = {"kubernetes.io/batch-cpu": "4000", "kubernetes.io/batch-memory": "8Gi"}
GOOD = {"ready": True, "error": None, "profiles": 1, "ageSeconds": 3.0, "watched": {"namespaces": {}}}


@pytest.fixture(scope="module")
def authority():
    """A CA and a serving certificate of the service's name; PEM."""
    made = make_authority(NOW)
    return made, issue(made, ("hook.home.svc",), NOW)


@pytest.fixture
def cluster(authority):
    """A cluster in which everything works."""
    ca, pair = authority
    with FakeApi() as fake:
        for path in (MUTATING, VALIDATING, LEASES, SERVICES, SECRETS, PODS, HOME_PODS, NODES):
            fake.objects[path] = {}
        client = {
            "service": {"name": "hook", "namespace": "home", "port": 443},
            "caBundle": base64.b64encode(ca.certificate).decode(),
        }
        for path, verb in ((MUTATING, "mutate"), (VALIDATING, "validate")):
            hook = {"name": f"pods.{verb}.colocation-webhook.io", "clientConfig": client, "rules": [POD_RULE]}
            labels = {"app.kubernetes.io/instance": "ours"}
            fake.put(path, "ours", metadata={"labels": labels}, webhooks=[hook | {"failurePolicy": "Ignore"}])
        fake.put(SERVICES, "hook", spec={"selector": {"app": "hook"}})
        fake.put(SECRETS, "tls", data={"tls.crt": base64.b64encode(pair[0]).decode()})
        fake.put(
            HOME_PODS,
            "hook-1",
            metadata={"namespace": "home"},
            spec={"volumes": [{"name": "x"}, {"secret": {"secretName": "tls"}}]},
            status={"phase": "Running"},
        )
        fake.objects[f"{HOME_PODS}/hook-1:8081/proxy"] = {("", "readyz"): {"view": GOOD}}
        profile(fake, "spark")
        fake.put(LEASES, "koord-scheduler", spec=lease())
        fake.put(NODES, "n-1", status={"allocatable": BATCH})
        fake.failures["GET", "/metrics"] = [(200, b"# HELP x\n")] * 9
        yield fake


def profile(fake, name, ready="True", conflicting="False", **status):
    """Put a profile with a status."""
    conditions = [
        {"type": "Ready", "status": ready, "reason": "R", "message": "what is wrong"},
        {"type": "Conflicting", "status": conflicting, "reason": "C", "message": "another"},
    ]
    status = {"observedGeneration": 1, "conditions": conditions} | status
    fake.put(PROFILES, name, spec={"schedulerName": "koord-scheduler"}, status=status)


def lease(seconds=0):
    """A Lease that was renewed so long ago."""
    renewed = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": "x", "renewTime": renewed, "leaseDurationSeconds": 15}


@pytest.fixture
def doctor(run, cluster, tmp_path):
    """Run the doctor; exit status, and the findings by verdict."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.port}"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))

    def examine(*flags):
        result = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "-o", "json", *flags)
        found = json.loads(result.output)["findings"]
        return result.exit_code, {
            verdict: "\n".join(
                f"{f['subject']}: {f['message']} -> {f['remedy']}" for f in found if f["verdict"] == verdict
            )
            for verdict in ("ok", "warning", "error")
        }

    return examine


def test_a_cluster_in_which_everything_works(doctor, run, tmp_path):
    """Every check is ticked; the text ends with a line that says so."""
    code, found = doctor()
    assert (code, found["warning"], found["error"]) == (0, "", "")
    for subject in (
        *("webhook configurations", "serving certificate", "view of the cluster", "profiles"),
        *("schedulers", "nodes", "publishers", "bindings", "Koordinator's webhook", "fail-open"),
    ):
        assert f"{subject}: " in found["ok"]
    text = run("doctor", "--kubeconfig", tmp_path / "kubeconfig").output
    assert text.endswith("✓ no problems found\n")


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


def test_profiles_that_are_not_ready_conflict_or_have_no_status(doctor, cluster):
    """With what the conditions say."""
    profile(cluster, "a", ready="False")
    profile(cluster, "b", conflicting="True")
    profile(cluster, "c", observedGeneration=0)
    code, found = doctor()
    assert code == 1
    assert "a: not ready (R): what is wrong" in found["error"]
    assert "b: conflicts with another" in found["warning"]
    assert "the status of c is missing or outdated" in found["warning"]
    assert "2 of 4 are ready" in found["ok"]


def test_two_schedulers_of_one_name(doctor, cluster):
    """Two Leases of its name that are renewed: both would place its pods; an old one is nobody's."""
    cluster.put(LEASES, "koord-scheduler", "elsewhere", spec=lease(seconds=900))
    assert "koord-scheduler: it renews its Lease" in doctor()[1]["ok"]
    cluster.put(LEASES, "koord-scheduler", "elsewhere", spec=lease())
    assert "2 schedulers renew a Lease of this name" in doctor()[1]["error"]


def test_schedulers_without_a_sign_of_life(doctor, cluster):
    """No Lease, no bound pod; pods that wait; pods that it has bound."""
    cluster.put(LEASES, "koord-scheduler", spec=lease(seconds=900))
    assert "koord-scheduler (named by spark): no sign of it" in doctor()[1]["error"]
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.put(PODS, "p", "a", metadata=old, spec={"schedulerName": "koord-scheduler"})
    assert "1 pods wait for it and none was bound" in doctor()[1]["error"]
    cluster.put(PODS, "q", "a", metadata=old, spec={"nodeName": "n-1"})
    assert "has bound 1 pods, 1 wait" in doctor()[1]["warning"]
    cluster.delete(PODS, "p", "a")
    assert "has bound 1 pods" in doctor()[1]["ok"]


def test_nodes_without_batch_resources(doctor, cluster):
    """Pods would stay Pending: it is said what publishes them."""
    cluster.put(NODES, "n-2", status={"allocatable": BATCH | {"kubernetes.io/batch-cpu": "0"}})
    assert "1 of 2 advertise" in doctor()[1]["warning"]
    cluster.delete(NODES, "n-1")
    code, found = doctor()
    assert code == 1
    assert "stay Pending" in found["error"]
    assert "koordlet" in found["error"]
    cluster.delete(NODES, "n-2")
    assert "nodes: none exists" in doctor()[1]["warning"]


def publishes(manager):
    """Metadata of a node whose batch resources are somebody's."""
    fields = {"f:status": {"f:allocatable": {"f:kubernetes.io/batch-cpu": {}}}}
    return {"managedFields": [{"manager": "kubelet"}, {"manager": manager, "fieldsV1": fields}]}


OURS, THEIRS = "colocation-webhook-capacity", "koord-manager"


def controller(cluster, name="c-1", phase="Running", **report):
    """Put a pod of our controller, and what it says of itself."""
    cluster.put(
        PODS,
        name,
        "home",
        metadata={"labels": {"app.kubernetes.io/component": "controller"}},
        spec={"containers": [{"args": ["controller", "--in-cluster"]}]},
        status={"phase": phase},
    )
    cluster.objects[f"{HOME_PODS}/{name}:8082/proxy"] = {("", "readyz"): {"capacity": report}}


def test_who_publishes(doctor, cluster):
    """Nobody, somebody else, our controller; both are one too many, and figures without a controller old."""
    assert "publishers: our controller is not installed, and nobody publishes" in doctor()[1]["ok"]
    cluster.put(NODES, "n-1", metadata=publishes(THEIRS), status={"allocatable": BATCH})
    assert "publishers: koord-manager publishes on 1 nodes" in doctor()[1]["ok"]
    cluster.put(NODES, "n-2", metadata=publishes(OURS), status={"allocatable": BATCH})
    assert "its figures stand on 1 nodes" in doctor()[1]["warning"]
    controller(cluster, publishes=True)
    found = doctor()[1]
    assert "our controller runs, and koord-manager publishes, too" in found["warning"]
    assert "our controller publishes on 1 nodes (c-1)" in found["ok"]
    cluster.delete(NODES, "n-1")
    assert doctor()[1]["warning"] == ""


def test_a_controller_that_does_not_publish(doctor, cluster):
    """It is said why, for each replica."""
    controller(cluster, standby="koord-manager renews its Lease a/koordinator-manager: it publishes")
    controller(cluster, "c-2", phase="Pending")
    said = doctor()[1]["warning"]
    assert "no replica of our controller publishes: c-1: koord-manager renews its Lease" in said
    assert "c-2: its pod does not run" in said
    cluster.objects[f"{HOME_PODS}/c-1:8082/proxy"] = {}
    assert "c-1: /readyz cannot be read" in doctor()[1]["warning"]


@pytest.mark.parametrize(
    "text", ['{"state": "held"}', '{"state": "withdrawn"}', "{", "[]", '{"state": "applied"}']
)
def test_late_metrics(doctor, cluster, text):
    """Nodes on which nothing new is let in are named."""
    controller(cluster, publishes=True)
    metadata = {**publishes(OURS), "annotations": {"colocation-webhook.io/batch-capacity": text}}
    cluster.put(NODES, "n-1", metadata=metadata, status={"allocatable": BATCH})
    assert ("metrics of n-1 are late" in doctor()[1]["warning"]) is ("held" in text or "withdrawn" in text)


@pytest.mark.parametrize(
    ("arguments", "verdict", "message"),
    [
        (["serve", "--client-ca=/etc/ca.crt"], "ok", "clients show a certificate"),
        (["serve", "--cpusets"], "warning", "hook-1: /bind answers clients without a certificate"),
        (["serve"], "warning", "set webhook.clientCA in the chart's values"),
    ],
)
def test_who_may_ask_for_cpu_sets(doctor, cluster, arguments, verdict, message):
    """A review of a binding has an effect, so a client without a certificate is worth a warning."""
    (configuration,) = cluster.objects[MUTATING].values()
    client = configuration["webhooks"][0]["clientConfig"]
    service = {**client["service"], "path": "/bind"}
    configuration["webhooks"].append(
        {"name": "bindings.cpuset.colocation-webhook.io", "clientConfig": {**client, "service": service}}
    )
    (made,) = cluster.objects[HOME_PODS].values()
    made["spec"]["containers"] = [{"args": arguments}]
    assert message in doctor()[1][verdict]
    cluster.objects[HOME_PODS].clear()
    assert "no pod of the webhook is found" in doctor()[1]["warning"]


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


def refused(path, verb="list"):
    """What an API server answers somebody without this right."""
    name = path.rsplit("/", 1)[-1]
    said = f'{name} is forbidden: User "u" cannot {verb} resource "{name}" at the cluster scope'
    return 403, {"message": said}


def test_what_may_not_be_read_costs_one_line(doctor, cluster):
    """All rights that lack are one error, whatever else works; the rest is examined."""
    for path in (NODES, LEASES, MUTATING):
        cluster.failures["GET", path] = [refused(path)] * 9
    code, found = doctor()
    assert code == 1
    assert found["error"].count("not checked") == 1
    assert (
        "rights: not checked: webhook configurations, serving certificate, view of the cluster, schedulers, "
        "nodes, publishers, bindings, Koordinator's webhook: may not list mutatingwebhookconfigurations, "
        "list leases"
    ) in found["error"]
    assert "profiles: 1 of 1 are ready" in found["ok"]


PENDING = "0/3 nodes are available: 3 Insufficient kubernetes.io/batch-cpu."


def pod(fake, name, phase="Running", said=None, profiles=""):
    """Put a pod into the namespace of the kubeconfig's context."""
    conditions = [{"type": "PodScheduled", "status": "False", "message": said}] if said else []
    fake.put(
        "/api/v1/namespaces/default/pods",
        name,
        metadata={"annotations": {"colocation-webhook.io/profiles": profiles} if profiles else {}},
        spec={"schedulerName": "koord-scheduler"} | ({"nodeName": "n"} if phase == "Running" else {}),
        status={"phase": phase, "conditions": conditions},
    )


def test_with_few_rights_the_pods_of_the_namespace_are_looked_at(doctor, cluster):
    """Which were changed, and why those that wait do so."""
    for path in (MUTATING, VALIDATING, PROFILES, NODES, PODS, LEASES, "/metrics"):
        cluster.failures["GET", path] = [refused(path)] * 9
    pod(cluster, "web")
    pod(cluster, "one", profiles="spark,team")
    pod(cluster, "two", "Pending", PENDING, "spark")
    pod(cluster, "three", "Pending", "", "spark")
    code, found = doctor()
    assert (code, found["error"].count("\n")) == (1, 0)
    assert "namespace default: 3 of 4 pods were changed by profiles, by spark, team" in found["ok"]
    assert f"two is Pending: {PENDING} -> ask whether nodes publish batch resources" in found["warning"]
    assert (
        "three is Pending, and no scheduler has said why -> ask whether the scheduler koord"
        in found["warning"]
    )


def test_the_rights_of_nobody_at_all(doctor, cluster):
    """Without even the pods of the namespace there is the one error, and nothing else."""
    for path in (
        MUTATING,
        VALIDATING,
        PROFILES,
        NODES,
        LEASES,
        "/metrics",
        "/api/v1/namespaces/default/pods",
    ):
        cluster.failures["GET", path] = [refused(path)] * 9
    code, found = doctor()
    assert (code, found["ok"], found["warning"], found["error"].count("\n")) == (1, "", "", 0)


def test_a_cluster_that_cannot_be_reached(doctor, cluster, run, tmp_path):
    """One error, and exit status 1: nothing was seen."""
    cluster.stop()
    code, found = doctor()
    cluster.start()
    assert (code, found["ok"], found["warning"], found["error"].count("\n")) == (1, "", "", 0)
    assert "API server: nothing can be checked" in found["error"]
    assert "make sure that the API server can be reached" in found["error"]
    result = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "--in-cluster")
    assert (result.exit_code, "exclude each other" in result.output) == (2, True)


def test_credentials_that_are_not_accepted(doctor, cluster):
    """One error, too."""
    for path in (MUTATING, VALIDATING):
        cluster.failures["GET", path] = [(401, {"message": "Unauthorized"})] * 9
    code, found = doctor()
    assert (code, found["error"].count("\n")) == (1, 0)
    assert "log in again" in found["error"]


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_other_failures_are_one_line_a_cause(doctor, cluster, status):
    """What works is examined; the two that fail for one reason are named together."""
    for path in (NODES, LEASES):
        cluster.failures["GET", path] = [(status, {"message": "the reason"})] * 9
    code, found = doctor()
    assert code == 1
    assert "profiles: 1 of 1 are ready" in found["ok"]
    assert found["error"].count("\n") <= 1
    assert {"schedulers", "nodes"} <= set(found["error"].replace(",", " ").replace(":", " ").split())


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_findings_for_machines(run, doctor, tmp_path, form):
    """The same in both forms."""
    doctor()
    text = run("doctor", "--kubeconfig", tmp_path / "kubeconfig", "-o", form).output
    assert {each["verdict"] for each in yaml.safe_load(text)["findings"]} == {"ok"}
