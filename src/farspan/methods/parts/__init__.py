"""The parts that methods are composed of, one folder an axis."""
