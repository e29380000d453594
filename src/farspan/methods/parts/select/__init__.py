"""`select`: which blocks a query fetches, and when."""
