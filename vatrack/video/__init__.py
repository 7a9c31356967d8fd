"""Users' own videos: what they name, how it is decoded, how a result is encoded."""
