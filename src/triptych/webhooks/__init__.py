"""Who is told when a run ends: webhooks and their deliveries."""
