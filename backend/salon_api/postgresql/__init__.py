"""Django's PostgreSQL, whose waits have an end: what the settings name as the database's engine.

It must not know what is asked of the database.
"""
