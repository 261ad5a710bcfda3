"""What a process tells about itself: metrics, traces and the context of its log lines."""
