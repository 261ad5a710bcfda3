"""Postgres: sessions, named statements, migrations and roles."""
