"""A server under load: `farspan bench serve`."""
