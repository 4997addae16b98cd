(
    """What pages and the desk share of HTTP: access, the law that applies, files and calendar dates."""
    """What pages and the desk share of HTTP: access, the law that applies, files and calendar dates."""
)

"""What pages and the desk share of HTTP: access, the law that applies, files and calendar dates."""
