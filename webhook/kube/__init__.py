"""An API server: calls, lists and watches, loops, leader election, Events."""
