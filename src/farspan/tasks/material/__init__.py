"""What single families are made of: people, worlds, tables, articles, functions; one subject a module."""
