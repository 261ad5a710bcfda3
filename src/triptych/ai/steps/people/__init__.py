"""People in pictures: their faces are found and counted, and belong to nobody."""
