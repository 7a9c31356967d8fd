"""The version of the package, in a module of its own: the public names import what needs it."""

__version__ = "0.2.0"
