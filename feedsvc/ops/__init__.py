"""For operators: problems, their history, status, metrics."""
