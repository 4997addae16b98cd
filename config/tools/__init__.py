"""What commands for developers make: the catalogues of translations, and the page of permissions."""
