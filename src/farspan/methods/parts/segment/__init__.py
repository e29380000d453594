"""`segment`: where blocks begin and end."""
