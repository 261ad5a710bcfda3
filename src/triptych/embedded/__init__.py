"""An embedded Postgres server and the data folder that it owns; imports nothing from the rest."""
