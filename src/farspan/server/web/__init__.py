"""The page that `GET /` shows: plain HTML, CSS and JavaScript."""
