"""Raw SAIL-VOS on disk, cuts, annotation forms, and the data that training reads."""
