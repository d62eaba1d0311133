"""Reviews in, responses out."""

import base64
import json

import jsonpatch
import pytest

from tests.cli.conftest import profile


@pytest.fixture
def line(examples):
    """Return a function that gives an example review as one line."""

    def read(name):
        return json.dumps(json.loads((examples / "reviews" / name).read_text()))

    return read


def test_the_spark_driver_of_the_seeds(run, examples, line):
    """QoS class BE, batch-cpu 1000 and batch-memory 3456Mi in requests and limits."""
    review = line("spark-driver.json")
    result = run("review", "--objects", examples / "objects", stdin=review)
    response = json.loads(result.stdout)["response"]
    pod = json.loads(review)["request"]["object"]
    pod = jsonpatch.apply_patch(pod, json.loads(base64.b64decode(response["patch"])))
    figures = {"kubernetes.io/batch-cpu": "1000", "kubernetes.io/batch-memory": "3456Mi"}
    assert pod["spec"]["containers"][0]["resources"] == {"limits": figures, "requests": figures}
    assert pod["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
    assert pod["metadata"]["labels"]["koordinator.sh/priority"] == "1000"
    assert pod["metadata"]["labels"]["spark-role"] == "driver"
    spec = pod["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["schedulerName"]) == (
        "koord-batch", 5000, "koord-scheduler",
    )  # fmt: skip
    assert response["auditAnnotations"] == {"profiles": "spark-demo"}


@pytest.mark.parametrize(
    ("name", "profile"),
    [("spark-executor.json", "spark-submit"), ("online-service.json", "online-services")],
)
def test_every_example_is_taken_by_one_profile(run, examples, line, name, profile):
    """The one that its comment names."""
    result = run("review", "--objects", examples / "objects", stdin=line(name))
    assert json.loads(result.stdout)["response"]["auditAnnotations"] == {"profiles": profile}


def test_validate_asks_the_other_webhook(run, examples, line):
    """A denial is an answer: exit status 0."""
    refused = line("refused.json")
    objects = ("--objects", examples / "objects")
    result = run("review", *objects, "--validate", stdin=refused)
    assert result.exit_code == 0
    response = json.loads(result.stdout)["response"]
    assert not response["allowed"]
    assert "qos-priority/BE-prod" in response["status"]["message"]
    off = run("review", *objects, "--validate", "--rule", "qos-priority/BE-prod=off", stdin=refused)
    assert json.loads(off.stdout)["response"]["allowed"]


def test_order_and_number_are_kept(run, examples, line):
    """Empty lines give nothing; a line that is no review gives a Status and exit status 1."""
    review = line("online-service.json")
    lines = [review, "", "  ", "{", '{"kind": "Pod"}', "\ufffd\0", "[" * 3000, review]
    result = run("review", "--objects", examples / "objects", stdin="\n".join(lines))
    answers = [json.loads(answer) for answer in result.stdout.splitlines()]
    assert [a["kind"] for a in answers] == ["AdmissionReview", *["Status"] * 4, "AdmissionReview"]
    assert {a["code"] for a in answers if a["kind"] == "Status"} == {400}
    assert "line 4: the body is not JSON" in result.stderr
    assert "line 5: kind: 'Pod' is not 'AdmissionReview'" in result.stderr
    assert result.exit_code == 1


def test_bytes_that_are_no_text(run, examples):
    """Nothing is decoded on the way."""
    result = run("review", "--objects", examples / "objects", stdin=b"\xff\xfe\n{}\n")
    assert len(result.stdout.splitlines()) == 2


def test_a_fault_of_ours_costs_one_answer(run, examples, line, monkeypatch):
    """It is a Status with code 500, and the next line is answered."""
    import webhook.cli.review as module  # noqa: PLC0415

    calls = iter([RuntimeError("boom"), None])
    decide = module.decide

    def faulty(*args):
        if error := next(calls):
            raise error
        return decide(*args)

    monkeypatch.setattr(module, "decide", faulty)
    review = line("online-service.json")
    result = run("review", "--objects", examples / "objects", stdin=f"{review}\n{review}\n")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["code"], second["kind"]) == (500, "AdmissionReview")
    assert result.exit_code == 1


def test_objects_that_cannot_be_read(run, tmp_path):
    """A missing directory is wrong use, a broken file a failure; both say which."""
    assert run("review", "--objects", tmp_path / "none").exit_code == 2
    (tmp_path / "p.yaml").write_text("[")
    result = run("review", "--objects", tmp_path, stdin="")
    assert result.exit_code == 1
    assert "p.yaml:2:1: not YAML" in result.stderr


def test_profiles_with_problems_are_told(run, objects):
    """On standard error, once; the others work."""
    result = run("review", "--objects", objects(profile("p", qosClass="best")), stdin="")
    assert result.exit_code == 0
    assert result.stderr.startswith("profile p is not applied: spec.qosClass: 'best'")


def test_reviews_that_are_not_one_a_line(run, examples):
    """The first such line says how to write them; the others are counted. Each has its answer."""
    pretty = (examples / "reviews" / "spark-driver.json").read_text()
    result = run("review", "--objects", examples / "objects", stdin=pretty)
    lines = [line for line in pretty.splitlines() if line.strip()]
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == len(lines)
    said = result.stderr.splitlines()
    assert "jq -c . FILE" in said[0]
    assert len(said) == 2
    assert said[-1].endswith("more lines are no JSON object")


def test_a_line_that_is_no_review_is_named_without_that(run, examples, line):
    """JSON that is no AdmissionReview is another mistake."""
    text = "\n".join(["{}", line("spark-driver.json"), '{"kind": "AdmissionReview"}'])
    result = run("review", "--objects", examples / "objects", stdin=text)
    assert [said.split(":")[0] for said in result.stderr.splitlines()] == ["line 1", "line 3"]
    assert "jq" not in result.stderr


@pytest.mark.parametrize("line", [b"x" * (20 * 2**20 + 1), b"{}\n" + b"[" * (30 * 2**20)])
def test_a_line_without_end_ends_the_command(run, examples, line):
    """It says so, and reads no further."""
    result = run("review", "--objects", examples / "objects", stdin=line)
    assert result.exit_code == 1
    assert "standard input: line" in result.stderr
    assert "perhaps no end" in result.stderr
