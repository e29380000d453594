"""Reading public data sets: rows of files, folders and the Hub, and the questions in them."""
