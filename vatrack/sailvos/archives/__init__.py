"""Archives as data sets are handed out: tar (also .gz, .bz2, .xz) and zip, whole or in parts."""
