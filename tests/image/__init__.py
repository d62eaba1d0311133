"""The image, built without a registry and run as the chart says: for `make image-test`."""
