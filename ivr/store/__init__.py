"""Adapters to Redis and to the database."""
