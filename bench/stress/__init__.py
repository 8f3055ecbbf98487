"""`stress`: faults and hostile input, thrown at the command line and at every reader of files."""
