"""Training: loop, schedule, checkpoints, submission, experiment log."""
