"""Archives as datasets are handed out: tar, compressed tar and zip, whole or in volumes."""
