"""A kernel that is made up, the real one, and an agent in either, for tests of writing and suppression."""
