"""What a process reports about itself: metrics, traces and the context of its log lines."""
