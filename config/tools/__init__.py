"""What the developers' commands generate: the translation catalogues and the page of permissions."""
