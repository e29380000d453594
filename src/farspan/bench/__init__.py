"""What this machine gives: memory and speed. What methods find is measured in `farspan.evals`."""
