"""Tests of services that run: real processes on loopback."""
