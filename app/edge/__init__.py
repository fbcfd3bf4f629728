"""Connections: bounded in number, time and size, and answered in our own words where no application is asked yet."""
