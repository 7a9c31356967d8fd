"""Tables, plots and overlays."""

import logging

# Where HOME cannot be written, matplotlib takes a temporary folder for its caches and says so each
# time; nothing is wrong with that. The filter does not reach its warnings about plots, which come
# from loggers of its modules.
logging.getLogger("matplotlib").addFilter(lambda record: record.levelno > logging.WARNING)
