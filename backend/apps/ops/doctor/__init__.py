"""The doctor: looks at the effective configuration and says what it means. No room of it changes anything."""
