"""ClusterColocationProfiles: reading, checking, indexing and comparing."""
