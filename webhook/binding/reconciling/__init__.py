"""Drift between pods and ledgers, put right by the leader."""
