"""What an agent asks for where its node is short; it evicts nobody."""
