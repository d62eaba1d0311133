"""The chart's documents and examples say what the chart has; that it works is shown in ``tests/e2e``."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from webhook.admission.profiles.profile import FIELDS
from webhook.admission.validating.rules import RULES
from webhook.controller.metrics import CapacityMetrics, EvictionMetrics, OfferedCollector
from webhook.protocol import (
    PRIORITY_BANDS,
    PROFILE_GROUP,
    PROFILE_KIND,
    PROFILE_RESOURCE,
    PROFILE_VERSION,
    QOS_CLASSES,
)
from webhook.scheduling.loadaware.loadsettings import (
    AGGREGATIONS,
    IGNORED,
    LoadSettingsError,
    read_load_settings,
)
from webhook.server.metrics import ReviewMetrics
from webhook.slo.keys import KEYS

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "colocation-webhook"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is no map with entries, with its path."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def test_every_value_is_documented() -> None:
    """The table of the README has each value of values.yaml with its default, in the same order."""
    table = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \| [^|]+ \|$", (CHART / "README.md").read_text(), re.MULTILINE
    )
    assert [(name, json.loads(default)) for name, default in table] == list(leaves(VALUES))


def test_every_value_has_a_comment() -> None:
    """``helm show values`` says what the table of the README says."""
    table = re.findall(
        r"^\| `([^`]+)` \| `[^`]+` \| ([^|]+) \|$", (CHART / "README.md").read_text(), re.MULTILINE
    )
    wanted = {name: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", meaning) for name, meaning in table}
    said, comment, path = {}, [], []
    for line in (CHART / "values.yaml").read_text().splitlines()[1:]:
        if "# " in line:
            comment.append(line.partition("# ")[2])
        elif key := re.match(r"( *)(\w+):", line):
            path[len(key[1]) // 2 :] = [key[2]]
            said[".".join(path)] = " ".join(comment)
            comment = []
    assert {name: text for name, text in said.items() if text} == wanted


def test_the_schema_has_the_rules() -> None:
    """A misspelled rule is refused by Helm; else new replicas would not start."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(schema["properties"]["rules"]["properties"]) == list(RULES)


def test_every_value_has_a_schema() -> None:
    """values.schema.json knows each value, and refuses those that nobody knows."""
    schema = json.loads((CHART / "values.schema.json").read_text())

    def known(node: Mapping[str, Any], path: str = "") -> Iterator[str]:
        for name, child in node["properties"].items():
            if "properties" in child:
                assert child["additionalProperties"] is False, path + name
                yield from known(child, f"{path}{name}.")
            else:
                yield path + name

    assert schema["additionalProperties"] is False
    # These are free in their form, rules has no defaults, and parent charts hand global to every chart.
    whole = (
        "resources", "podSecurityContext", "securityContext", "rules", "capacity.resources",
        "capacity.colocationConfig", "capacity.agentConfig", "scheduler.resources", "scheduler.loadAware",
        "agent.resources",
    )  # fmt: skip

    def outer(name: str) -> str:
        return next((each for each in whole if name.startswith(f"{each}.")), name)

    assert set(map(outer, known(schema))) - {"global"} == set(
        map(outer, (name for name, _ in leaves(VALUES)))
    )


def test_the_schema_has_the_keys_for_agents() -> None:
    """A misspelled key of the ConfigMap is refused by Helm; else nobody would read it."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(schema["properties"]["capacity"]["properties"]["agentConfig"]["properties"]) == list(KEYS)


class Recorded(dict[str, Any]):
    """Arguments that say which of them were asked for."""

    def __init__(self, of: Mapping[str, Any]) -> None:
        super().__init__(of)
        self.asked: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        """Note the name, and answer."""
        self.asked.append(name)
        return super().get(name, default)


def test_the_schema_has_the_arguments_of_load() -> None:
    """Helm knows each of LoadAwareSchedulingArgs with its bounds; else new replicas would not start."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    whole = schema["properties"]["scheduler"]["properties"]["loadAware"]
    inner = Recorded({"usageThresholds": {}})
    args = Recorded({"aggregated": inner})
    read_load_settings(args)
    known = whole["properties"]
    assert set(known) == {*args.asked, *IGNORED}
    assert set(known["aggregated"]["properties"]) == set(inner.asked)
    assert known["aggregated"]["properties"]["usageAggregationType"]["enum"] == ["", *AGGREGATIONS, None]
    samples = {"boolean": True, "string": ""}
    for name, of in known.items():
        read_load_settings({name: None})  # as if it were not stated
        if name == "supportedResources":
            assert of == {}  # of any form, and not looked at
            continue
        kind, none = of["type"]
        assert none == "null"
        if kind in samples:
            read_load_settings({name: samples[kind]})
            continue
        if name == "aggregated":
            continue
        bounds = of.get("additionalProperties", of)
        put = (lambda value: {"cpu": value}) if "additionalProperties" in of else (lambda value: value)
        for edge, beyond in ((bounds["minimum"], -1), (bounds["maximum"], 1)):
            read_load_settings({name: put(edge)})
            with pytest.raises(LoadSettingsError, match=name):
                read_load_settings({name: put(edge + beyond)})


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    """The CustomResourceDefinition, without the lines that are Helm's."""
    text = (CHART / "templates" / "crd.yaml").read_text()
    text = re.sub(r"\{\{-? */\*.*?\*/ *-?\}\}", "", text, flags=re.DOTALL)
    kept = [line for line in text.splitlines() if not line.startswith("{{")]
    found: dict[str, Any] = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "{}", "\n".join(kept)))
    return found


def test_the_definition_has_the_protocols_names(definition: dict[str, Any]) -> None:
    """Group, version, kind and resource are those the webhook reads."""
    spec = definition["spec"]
    (version,) = spec["versions"]
    assert definition["metadata"]["name"] == f"{PROFILE_RESOURCE}.{PROFILE_GROUP}"
    assert (spec["group"], version["name"]) == (PROFILE_GROUP, PROFILE_VERSION)
    assert (spec["names"]["kind"], spec["names"]["plural"]) == (PROFILE_KIND, PROFILE_RESOURCE)
    assert spec["names"]["shortNames"] == ["ccp"]


def test_the_definition_has_every_field(definition: dict[str, Any]) -> None:
    """The fields of spec are those the webhook reads, each of the type that it takes."""
    properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]
    types = {"object": dict, "string": str, "integer": int}
    declared = {
        name: (int, str) if field.get("x-kubernetes-int-or-string") else types[field["type"]]
        for name, field in properties.items()
    }
    assert declared == dict(FIELDS)
    assert set(properties["qosClass"]["enum"]) == QOS_CLASSES


def test_the_example_profiles_are_those_of_the_project() -> None:
    """The chart's profiles are copies of files in examples/objects."""
    copies = sorted((CHART / "files" / "profiles").glob("*.yaml"))
    assert copies
    for copy in copies:
        assert copy.read_text() == (ROOT / "examples" / "objects" / copy.name).read_text()


def test_the_priority_classes_are_those_of_the_protocol() -> None:
    """Names and values of the template are the protocol's."""
    text = (CHART / "templates" / "priorityclasses.yaml").read_text()
    listed = re.findall(r'"name" "([a-z-]+)" "value" (\d+)', text)
    assert listed == [(band.name, str(band.value)) for band in PRIORITY_BANDS]


def test_the_alerts_name_metrics_that_exist() -> None:
    """Each metric of ours in an alert is one the webhook has."""
    registry = CollectorRegistry()
    ReviewMetrics(registry)
    CapacityMetrics(registry)
    registry.register(OfferedCollector(list))
    EvictionMetrics(registry)
    names = set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))
    alerts = (CHART / "templates" / "prometheusrule.yaml").read_text()
    named = set(re.findall(r"colocation_webhook_[a-z_]+", alerts))
    assert named
    assert {name.removesuffix("_bucket") for name in named} <= names
