"""Tests of kubeconfigs."""
