"""Tests of what an agent asks for."""
