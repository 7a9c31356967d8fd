"""MLflow: a copy of what the runs' folders hold."""
