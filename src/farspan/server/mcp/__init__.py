"""The Model Context Protocol: agents read texts into sessions and ask about them, by stdio or HTTP."""
