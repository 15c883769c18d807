"""PC/SC readers behind a real pcscd; part of the second tier."""
