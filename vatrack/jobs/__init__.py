"""Runs a callable as a job, on this machine or on SLURM (submitit)."""
