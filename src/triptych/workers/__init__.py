"""What takes messages from queues and hands them to the phases."""
