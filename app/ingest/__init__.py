"""Requests become jobs here: a bounded buffer, and the loop that commits what gathers in it."""
