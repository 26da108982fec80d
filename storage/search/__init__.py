"""Searching messages: two ways to say what is wanted, one set of terms, one plan for the database."""
