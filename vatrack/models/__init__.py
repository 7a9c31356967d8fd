"""The network: small modules that `detector` assembles into the four methods."""
