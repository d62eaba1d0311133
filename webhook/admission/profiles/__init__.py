"""ClusterColocationProfiles: read, checked, indexed, compared."""
