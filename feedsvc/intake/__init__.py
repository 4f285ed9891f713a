"""From a watched folder to the store."""
