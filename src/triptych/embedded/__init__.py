"""An embedded Postgres server and the data folder that it owns. Imports nothing else of Triptych."""
