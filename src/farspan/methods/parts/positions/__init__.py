"""`positions`: the angles at which queries meet keys outside the local window."""
