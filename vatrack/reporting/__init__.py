"""Tables, figures and overlays."""
