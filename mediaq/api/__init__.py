"""HTTP in: small route modules in front of the same SQL that every client can use."""
