"""What operators see: problems, their history, status, metrics."""
