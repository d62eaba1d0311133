"""Tests of what holds for the project as a whole: its texts, its map, its Makefile."""
