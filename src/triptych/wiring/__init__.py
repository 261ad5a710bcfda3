"""The only folder that knows which adapter stands behind which port."""
