"""The step ``origin``: what files say of their rights and their origin."""
