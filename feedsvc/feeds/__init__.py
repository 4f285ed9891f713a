"""From the store to what stands at each address."""
