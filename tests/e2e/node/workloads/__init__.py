"""What runs on the node: pods of its images, Spark, and their cgroups."""
