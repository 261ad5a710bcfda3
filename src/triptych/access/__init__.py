"""Who asks, and whether they may: one room for the API, the WebSocket and the commands."""
