"""From a file to a plan: load, check, explain what is wrong. `plan` is plain data and imports nothing heavy."""
