"""A NodeSLO's wishes that are not fulfilled are named; what is off is not."""

import pytest

from webhook.agent.plan.unbuilt import unbuilt


@pytest.mark.parametrize(
    ("slo", "field", "word"),
    [
        (
            {"resourceQOSStrategy": {"beClass": {"resctrlQOS": {"enable": True}}}},
            "beClass.resctrlQOS",
            "resctrl",
        ),
        (
            {"resourceQOSStrategy": {"cgroupRoot": {"blkioQOS": {"enable": True}}}},
            "cgroupRoot.blkioQOS",
            "blkio",
        ),
        (
            {"resourceQOSStrategy": {"lsClass": {"networkQOS": {"enable": True}}}},
            "lsClass.networkQOS",
            "net_cls",
        ),
        (
            {"resourceQOSStrategy": {"lsClass": {"memoryQOS": {"enable": True, "wmarkRatio": 95}}}},
            "lsClass.memoryQOS",
            "wmarkRatio",
        ),
        (
            {"resourceQOSStrategy": {"systemClass": {"memoryQOS": {"enable": True, "minLimitPercent": 1}}}},
            "systemClass.memoryQOS",
            "minLimitPercent",
        ),
        ({"resourceQOSStrategy": {"lsrClass": {"cpuQOS": {"enable": True}}}}, "lsrClass.cpuQOS", "bvt"),
        (
            {
                "resourceQOSStrategy": {
                    "policies": {"cpuPolicy": "coreSched"},
                    "beClass": {"cpuQOS": {"enable": True}},
                }
            },
            "beClass.cpuQOS",
            "core scheduling",
        ),
        ({"systemStrategy": {"minFreeKbytesFactor": 100}}, "systemStrategy", "sysctl"),
        ({"hostApplications": [{"name": "x"}]}, "hostApplications", "no pods"),
    ],
)
def test_what_is_asked_for_is_named(slo, field, word):
    """With its field."""
    (line,) = unbuilt(slo, suppressed=True)
    assert field in line
    assert word in line


@pytest.mark.parametrize(
    "slo",
    [
        {},
        {"resourceQOSStrategy": None, "cpuBurstStrategy": {"policy": "none"}, "systemStrategy": {}},
        {"resourceQOSStrategy": {"beClass": {"cpuQOS": {"enable": False}, "resctrlQOS": {"enable": "yes"}}}},
        {"resourceQOSStrategy": {"lsClass": {"memoryQOS": {"enable": True, "lowLimitPercent": 5}}}},
        {"cpuBurstStrategy": {"policy": "auto"}},
        {"cpuBurstStrategy": {"policy": "cfsQuotaBurstOnly"}},
        {
            "systemStrategy": {"minFreeKbytesFactor": None, "totalNetworkBandwidth": "0"},
            "hostApplications": [],
        },
    ],
)
def test_what_is_off_is_not(slo):
    """Nor what is built, nor what cannot be read."""
    assert unbuilt(slo) == []


def test_suppression_that_is_off_at_the_agent():
    """The NodeSLO asks for it in vain; the remedy is named."""
    slo = {"resourceUsedThresholdWithBE": {"enable": True}}
    assert [each for each in unbuilt(slo) if "--suppress-be" in each]
    assert unbuilt(slo, suppressed=True) == []
