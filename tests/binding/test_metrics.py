"""What binding counts."""

from prometheus_client import generate_latest

from tests.binding.builders import known, pod


def test_what_is_counted(replica):
    """Sets, denials by reason, bindings by outcome."""
    replica.cpuset(known(replica, pod()))
    replica.cpuset(known(replica, pod("ls", qos="LS")))
    replica.ask(known(replica, pod("large", cpu="40")))
    text = generate_latest(replica.registry).decode()
    for line in (
        'colocation_webhook_bindings_total{outcome="set"} 1.0',
        'colocation_webhook_bindings_total{outcome="none"} 1.0',
        'colocation_webhook_bindings_total{outcome="denied"} 1.0',
        'colocation_webhook_cpuset_allocations_total{again="false",qos="LSR"} 1.0',
        'colocation_webhook_cpuset_denials_total{reason="NoSuchSet"} 1.0',
        'colocation_webhook_binding_duration_seconds_count{outcome="set"} 1.0',
    ):
        assert line in text
