"""What scorers read replies with: plain text, lines, items, numbers, sums, shares. No scorer is looked for here."""
