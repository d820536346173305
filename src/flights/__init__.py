"""The worked example: which of New York's flights of 2013 will be late."""
