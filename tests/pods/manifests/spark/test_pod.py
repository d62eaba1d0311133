"""The pod that Spark makes."""

from tests.pods.manifests.spark.builders import application, pods, resources, with_template


def test_executors_have_the_account_of_the_driver():
    """Unless a template or the executor's field names another one."""
    made = pods(application(driver={"serviceAccount": "d"}))
    assert {pod["spec"]["serviceAccountName"] for pod in made.values()} == {"d"}
    assert with_template("executor", {"serviceAccountName": "t"}, driver={"serviceAccount": "d"})["spec"][
        "serviceAccountName"
    ] == "t"  # fmt: skip


def test_pull_secrets_and_devices_of_the_configuration():
    """Names become references; Spark asks for its GPUs as limits."""
    conf = {"spark.executor.resource.gpu.amount": "2", "spark.executor.resource.gpu.vendor": "nvidia.com"}
    made = pods(application(imagePullSecrets=["a", "b"], sparkConf=conf))
    assert made["driver"]["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert resources(made["executor"])["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in resources(made["driver"])["limits"]


def test_cpu():
    """Of coreRequest, cores and 1 the first that is there; a limit only where one is set."""
    made = pods(
        application(driver={"cores": 2, "coreLimit": "2500m"}, executor={"cores": 4, "coreRequest": "3"})
    )
    assert resources(made["driver"])["requests"]["cpu"] == "2"
    assert resources(made["driver"])["limits"]["cpu"] == "2500m"
    assert resources(made["executor"])["requests"]["cpu"] == "3"
    assert "cpu" not in resources(made["executor"])["limits"]
