"""The chart: installation, rights, rendering, upgrade, rollback and the doctor."""
