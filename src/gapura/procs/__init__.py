"""Care for one process: start it, read its output, know its tree, decide what follows when it ends."""
