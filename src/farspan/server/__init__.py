"""The server: OpenAI's protocol and a web page over sessions that share one model."""
