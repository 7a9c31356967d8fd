"""Tables, plots and overlays."""
