"""Authentication and authorization for the API, the WebSocket and the commands."""
