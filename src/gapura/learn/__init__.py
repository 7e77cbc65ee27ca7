"""What explains: the simulation of balancing, drawings of sites and policies, and the explanations themselves.

Knows no processes and no sockets; below control, so that the dashboard may show all of it.
"""
