"""Tests of raised quotas."""
