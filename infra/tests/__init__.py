"""What the synthesised template must hold."""
