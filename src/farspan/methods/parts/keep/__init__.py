"""`keep`: what stays on the device, and what becomes of the rest."""
