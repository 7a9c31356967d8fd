"""A fuzzer over every reader: sound inputs are damaged, and the commands must still behave."""
