"""The parent of everything: children, listeners, configuration changes, the control socket."""
