"""Own videos: `load` a checkpoint, `Predictor.track` a video, `track_videos` to files."""
