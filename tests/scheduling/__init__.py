"""Tests of webhook/scheduling."""
