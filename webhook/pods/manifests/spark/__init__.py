"""SparkApplications and SparkConnects into the pods that the operator and Spark make of them."""
