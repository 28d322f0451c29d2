"""What commands have in common: the terminal, groups, options that several take."""
