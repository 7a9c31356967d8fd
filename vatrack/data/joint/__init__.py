"""Own annotations: a minimal joint JSON (contract 3) to the forms that methods read."""
