"""Tests of the CPU sets: against brute force, recorded answers and random use."""
