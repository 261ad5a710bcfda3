"""The demo: real brands, real images, real HTTP, and the faults that the web has."""
